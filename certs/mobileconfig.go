package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strings"
)

// profile is a configuration profile with one payload, a root certificate. The
// keys and their meanings are those of Apple's Configuration Profile Reference
// ("TopLevel", "CertificateRoot").
const profile = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
	<key>PayloadIdentifier</key>
	<string>%[1]s</string>
	<key>PayloadUUID</key>
	<string>%[2]s</string>
	<key>PayloadDisplayName</key>
	<string>%[3]s</string>
	<key>PayloadDescription</key>
	<string>%[4]s</string>
	<key>PayloadOrganization</key>
	<string>rtcdev</string>
	<key>PayloadRemovalDisallowed</key>
	<false/>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadType</key>
			<string>com.apple.security.root</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
			<key>PayloadIdentifier</key>
			<string>%[1]s.root</string>
			<key>PayloadUUID</key>
			<string>%[5]s</string>
			<key>PayloadDisplayName</key>
			<string>%[3]s</string>
			<key>PayloadDescription</key>
			<string>%[6]s</string>
			<key>PayloadCertificateFileName</key>
			<string>rtcdev-root.cer</string>
			<key>PayloadContent</key>
			<data>%[7]s</data>
		</dict>
	</array>
</dict>
</plist>
`

// mobileConfig returns a configuration profile that holds a root. Its identifiers
// come from the root's fingerprint: a device replaces a profile by one with the
// same identifier, and keeps those of two roots apart. It is not signed, since
// only a certificate that the device trusts already could sign it.
func mobileConfig(root *x509.Certificate) ([]byte, error) {
	limits, err := constraintsOf(root)
	if err != nil {
		return nil, fmt.Errorf("describing the root: %w", err)
	}
	sum := sha256.Sum256(root.Raw)
	reach := reachOf(limits)
	about := "With this profile the device trusts the websites that one person's rtcdev serves for development. " + reach +
		"\n\nAfter installing it on an iPhone or iPad, also switch it on in Settings > General > About > Certificate Trust Settings." +
		"\n\nTo remove it, delete this profile: on an iPhone or iPad in Settings > General > VPN & Device Management, on a Mac in System Settings under Device Management or Profiles."
	return fmt.Appendf(nil, profile,
		"rtcdev.authority."+hex.EncodeToString(sum[:]),
		derivedUUID("profile", sum),
		escapeXML(root.Subject.CommonName),
		escapeXML(about),
		derivedUUID("root", sum),
		escapeXML(reach),
		base64.StdEncoding.EncodeToString(root.Raw),
	), nil
}

// reachOf says in a sentence what an authority can speak for.
func reachOf(c constraints) string {
	if c.unconstrained {
		return "The authority has no name constraints: whoever gets its key can pretend to be ANY website to this device."
	}
	addresses := make([]string, len(c.ips))
	for i, prefix := range c.ips {
		addresses[i] = prefix.String()
	}
	return "The authority can only speak for " + strings.Join(c.dns, ", ") + ", names below these, and addresses in " +
		strings.Join(addresses, ", ") + "."
}

// derivedUUID returns a UUID of version 8 (RFC 9562 §5.8) for one use of a root.
func derivedUUID(use string, root [sha256.Size]byte) string {
	sum := sha256.Sum256(append([]byte("rtcdev "+use+" "), root[:]...))
	id := sum[:16]
	id[6] = id[6]&0x0F | 0x80 // the version
	id[8] = id[8]&0x3F | 0x80 // the variant
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
}

// escapeXML returns text for use between two tags. What XML cannot hold becomes
// U+FFFD.
func escapeXML(text string) string {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a Buffer takes everything
	return escaped.String()
}

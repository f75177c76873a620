package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxTrustSettings bounds what is read of exported trust settings, in bytes. One
// certificate takes about a thousand.
const maxTrustSettings = 16 << 20

// maxPlistDepth is more than trust settings have.
const maxPlistDepth = 16

// trustSettings are macOS's trust settings of one domain, as `security
// trust-settings-export` writes them: a dictionary from a certificate's SHA-1, in
// upper-case hexadecimal, to what is set for it. Nil is none.
type trustSettings map[string]any

// verdict is what trust settings say about one root and TLS servers.
type verdict int

const (
	verdictNone   verdict = iota // nothing is set for it
	verdictOther                 // something is set, but not that it is trusted for every TLS server
	verdictTrusts                // it is trusted
	verdictDenies                // it must not be trusted
)

// oidSSL is kSecTrustSettingsPolicy for TLS: 1.2.840.113635.100.1.3
// (CSSMOID_APPLE_TP_SSL), as the contents of its DER form.
const oidSSL = "\x2a\x86\x48\x86\xf7\x63\x64\x01\x03"

// verdict reads the settings of a root as SecTrustSettingsCopyTrustSettings
// documents them: none at all means trusted, a policy that is left out means every
// policy, and a result that is left out means trusted as a root.
func (t trustSettings) verdict(root *x509.Certificate) verdict {
	entry, ok := t[thumbprint(root)].(map[string]any)
	if !ok {
		return verdictNone
	}
	list, ok := entry["trustSettings"].([]any)
	if !ok && entry["trustSettings"] != nil {
		return verdictOther
	}
	if len(list) == 0 {
		return verdictTrusts
	}
	found := verdictOther
	for _, item := range list {
		setting, ok := item.(map[string]any)
		if !ok || !appliesToTLS(setting) {
			continue
		}
		switch result, set := setting["kSecTrustSettingsResult"]; {
		case !set, result == int64(1): // kSecTrustSettingsResultTrustRoot
			found = verdictTrusts
		case result == int64(3): // kSecTrustSettingsResultDeny
			return verdictDenies
		}
	}
	return found
}

// appliesToTLS reports whether a setting is about every TLS server, and not about
// another purpose, one server or one program.
func appliesToTLS(setting map[string]any) bool {
	for _, condition := range []string{"kSecTrustSettingsPolicyString", "kSecTrustSettingsApplication"} {
		if _, ok := setting[condition]; ok {
			return false
		}
	}
	policy, ok := setting["kSecTrustSettingsPolicy"]
	if !ok {
		return setting["kSecTrustSettingsPolicyName"] == nil || setting["kSecTrustSettingsPolicyName"] == "sslServer"
	}
	oid, ok := policy.([]byte)
	return ok && string(oid) == oidSSL
}

// parseTrustSettings reads an XML property list with trust settings in it.
func parseTrustSettings(data []byte) (trustSettings, error) {
	value, err := parsePlist(data)
	if err != nil {
		return nil, fmt.Errorf("reading the trust settings: %w", err)
	}
	top, _ := value.(map[string]any)
	list, ok := top["trustList"].(map[string]any)
	if top["trustVersion"] != int64(1) || !ok {
		return nil, errors.New("reading the trust settings: they are in a form that this release does not know")
	}
	return list, nil
}

// parsePlist reads an XML property list (plist(5)) into map[string]any, []any,
// []byte, string, int64 and bool. Dates and real numbers stay strings.
func parsePlist(data []byte) (any, error) {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	start, err := nextStart(decoder)
	if err != nil {
		return nil, err
	}
	if start == nil || start.Name.Local != "plist" {
		return nil, errors.New("it is not an XML property list")
	}
	start, err = nextStart(decoder)
	if err != nil {
		return nil, err
	}
	if start == nil {
		return nil, errors.New("the property list is empty")
	}
	return plistValue(decoder, *start, 0)
}

// nextStart returns the next element, or nil at the end of the one around it.
func nextStart(decoder *xml.Decoder) (*xml.StartElement, error) {
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		}
	}
}

func plistValue(decoder *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxPlistDepth {
		return nil, errors.New("the property list is nested too deeply")
	}
	switch start.Name.Local {
	case "dict":
		return plistDict(decoder, depth)
	case "array":
		var list []any
		for {
			next, err := nextStart(decoder)
			if err != nil || next == nil {
				return list, err
			}
			value, err := plistValue(decoder, *next, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
	}
	var text string
	if err := decoder.DecodeElement(&text, &start); err != nil {
		return nil, err
	}
	switch start.Name.Local {
	case "true", "false":
		return start.Name.Local == "true", nil
	case "integer":
		return strconv.ParseInt(strings.TrimSpace(text), 0, 64)
	case "data":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	case "string", "date", "real":
		return text, nil
	}
	return nil, fmt.Errorf("the property list has an unknown element %q", start.Name.Local)
}

func plistDict(decoder *xml.Decoder, depth int) (any, error) {
	dict := map[string]any{}
	for {
		start, err := nextStart(decoder)
		if err != nil || start == nil {
			return dict, err
		}
		var key string
		if start.Name.Local != "key" {
			return nil, fmt.Errorf("the property list has %q where a key should be", start.Name.Local)
		}
		if err := decoder.DecodeElement(&key, start); err != nil {
			return nil, err
		}
		next, err := nextStart(decoder)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return nil, fmt.Errorf("the property list has no value for the key %q", key)
		}
		if dict[key], err = plistValue(decoder, *next, depth+1); err != nil {
			return nil, err
		}
	}
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is too large", path)
	}
	return data, err
}

package trust

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The scripts for Windows PowerShell 5.1, and what they print. A script holds no
// double quote, so that it passes as one argument through Go's and WSL's quoting.
// What it prints is plain ASCII between "rtcdev{" and "}", so that it can be told
// from what else is printed, is known to be complete, and survives UTF-16, CRLF
// and lines broken at the width of a console.

// ownModules is for a PowerShell 5.1 that was started below PowerShell 7, whose
// modules it cannot load: then it has no Cert: drive
// (https://github.com/PowerShell/PowerShell/issues/18530).
const ownModules = `$ErrorActionPreference='Stop';$env:PSModulePath=$PSHOME+'\Modules';`

// readScript prints "Root:HEX;" for each certificate in the list of trusted roots
// that has our name or the thumbprint, and "Disallowed:HEX;" for the list of those
// that are never trusted. It calls no method, so that it also runs in the
// constrained language mode that some companies set.
func readScript(thumbprint string) string {
	return ownModules + `'rtcdev{';foreach($n in 'Root','Disallowed'){Get-ChildItem ('Cert:\CurrentUser\'+$n)|` +
		`Where-Object{$_.Subject -like '*` + nickPrefix + `*' -or $_.Thumbprint -eq '` + thumbprint + `'}|` +
		`ForEach-Object{$n+':';-join($_.RawData|ForEach-Object{'{0:X2}' -f $_});';'}};'}'`
}

// changeScript calls a method, Add or Remove, of the list of trusted roots, and
// prints the number of the error, 0 for none.
func changeScript(root *x509.Certificate, method string) string {
	const dotnet = "System.Security.Cryptography.X509Certificates."
	return `$ErrorActionPreference='Stop';$r=0;try{` +
		`$c=New-Object ` + dotnet + `X509Certificate2 -ArgumentList @(,[Convert]::FromBase64String('` +
		base64.StdEncoding.EncodeToString(root.Raw) + `'));` +
		`$s=New-Object ` + dotnet + `X509Store -ArgumentList 'Root','CurrentUser';` +
		`$s.Open('ReadWrite');$s.` + method + `($c);$s.Close()` +
		`}catch{$r=$_.Exception.GetBaseException().HResult};'rtcdev{'+('{0:x8}' -f $r)+'}'`
}

// plain leaves only the printable ASCII characters of what a program printed.
func plain(out string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, out)
}

// framed returns what a script printed between its braces.
func framed(out string) (string, error) {
	_, rest, ok := strings.Cut(plain(out), "rtcdev{")
	text, _, complete := strings.Cut(rest, "}")
	if !ok || !complete {
		return "", errors.New("its answer is missing or cut off")
	}
	return text, nil
}

// parseListing reads what readScript printed, as DER.
func parseListing(out string) (trusted, distrusted [][]byte, err error) {
	text, err := framed(out)
	if err != nil {
		return nil, nil, err
	}
	for item := range strings.SplitSeq(text, ";") {
		list, digits, _ := strings.Cut(item, ":")
		der, err := hex.DecodeString(digits)
		switch {
		case item == "":
		case err != nil || len(der) == 0:
			return nil, nil, fmt.Errorf("its answer holds no certificate where one should be")
		case list == "Root":
			trusted = append(trusted, der)
		case list == "Disallowed":
			distrusted = append(distrusted, der)
		default:
			return nil, nil, fmt.Errorf("its answer names a list %q", list)
		}
	}
	return trusted, distrusted, nil
}

// parseResult reads what changeScript printed.
func parseResult(out string) (uint32, error) {
	text, err := framed(out)
	if err != nil {
		return 0, err
	}
	code, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("its answer %q is no number", text)
	}
	return uint32(code), nil
}

// hresultForm is how certutil.exe writes the number of an error, in every language.
var hresultForm = regexp.MustCompile(`0x8[0-9a-fA-F]{7}\b`)

// hresult returns the number of a failed command's error, and 0 when it gave none.
// Its exit status is that number; under WSL, Linux keeps the lowest 8 bits of it.
func hresult(said string, err error) uint32 {
	code, ended := exitCode(err)
	if !ended {
		return 0
	}
	if code < 0 || code > 0xff {
		return uint32(code)
	}
	found := hresultForm.FindAllString(strings.ReplaceAll(said, "\x00", ""), -1) // also of UTF-16
	if len(found) == 0 {
		return 0
	}
	number, _ := strconv.ParseUint(found[len(found)-1], 0, 32) // its form is known
	return uint32(number)
}

package main

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtcdev/certs"
)

type exportOptions struct {
	format       string
	file         string
	names        []string
	client       bool
	passwordFile string
}

// formatPKCS12 is the one format that holds a key: that of a certificate made
// for it, never one of the authority.
const formatPKCS12 = "p12"

func exportFormats() []string {
	return []string{string(certs.FormatPEM), string(certs.FormatDER), string(certs.FormatMobileConfig), string(certs.FormatBundle), formatPKCS12}
}

func newExportCmd(run func(exportOptions) error) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [name…]",
		Short: "Write the authority's root certificate, for other devices",
		Long: `Write the root certificate of your local authority: the public part, which
other devices and programs need to trust it. The formats:

  pem           text, for command-line programs and Linux
  der           for Android and Windows
  mobileconfig  a profile for iPhone, iPad and Mac; to install it again replaces it
  bundle        the root and the intermediate, as text in one file
  p12           a new certificate for the names, with its key, under a password:
                for programs that import nothing else, such as browsers and Java

The key of the authority is in none of them.`,
		Example: `  rtcdev certs export > rtcdev-root.pem
  rtcdev certs export --format mobileconfig -o rtcdev.mobileconfig
  rtcdev certs export --format p12 -o laptop.p12 my-laptop.local
  rtcdev certs export --format p12 -o kim.p12 --client kim.internal`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			if !cmd.Flags().Changed("format") {
				o.format = formatOf(o.file)
			}
			return run(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "`format`: "+strings.Join(exportFormats(), ", ")+"; by default what the file's name ends in, else pem")
	f.StringVarP(&o.file, "file", "o", "", "new `file` to write; by default it goes to stdout")
	f.BoolVar(&o.client, "client", false, "with p12: make a client's certificate, for servers that ask who is there")
	f.StringVar(&o.passwordFile, "password-file", "", "with p12: `file` whose first line is the password (- is stdin); by default one is made up and printed")
	return cmd
}

// formatOf is the format that a file's name asks for.
func formatOf(file string) string {
	switch ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(file), ".")); ext {
	case string(certs.FormatDER), string(certs.FormatMobileConfig), formatPKCS12:
		return ext
	case "pfx": // what Windows calls it
		return formatPKCS12
	}
	return string(certs.FormatPEM)
}

// check finds what does not go together before anything is made.
func (o exportOptions) check(json, toTerminal bool) error {
	help := "rtcdev certs export --help"
	switch {
	case json && o.file == "":
		return usage("rtcdev certs export --json --format "+o.format+" -o FILE", "stdout cannot hold the file and what --json says of it")
	case o.format == formatPKCS12 && o.client && len(o.names) == 0:
		return usage(help, "%s", clientNeedsName)
	case !slices.Contains(exportFormats(), o.format):
		return usage(help, "--format is one of %s, not %q", strings.Join(exportFormats(), ", "), o.format)
	case o.format != formatPKCS12 && len(o.names) > 0:
		return usage("rtcdev certs export --format "+o.format, "--format %s writes the authority's own certificate, and takes no names", o.format)
	case o.format != formatPKCS12 && (o.client || o.passwordFile != ""):
		return usage(help, "--client and --password-file are for --format p12")
	case o.file == "" && toTerminal && (o.format == string(certs.FormatDER) || o.format == formatPKCS12):
		return usage("rtcdev certs export --format "+o.format+" -o FILE", "%s is not text: it would garble the terminal", o.format)
	}
	return nil
}

func (a *app) export(o exportOptions) error {
	if err := o.check(a.json, isTerminal(a.out.File)); err != nil {
		return err
	}
	if o.format == formatPKCS12 {
		return a.exportPKCS12(o)
	}
	root, err := openRoot()
	if err != nil {
		return err
	}
	var data []byte
	if format := certs.Format(o.format); format == certs.FormatBundle {
		data, err = a.bundle()
	} else {
		data, err = certs.EncodeRoot(root, format)
	}
	if err != nil {
		return err
	}
	if o.file == "" {
		_, err := a.out.Write(data)
		return err
	}
	if err := writeNew(o.file, data, 0o644); err != nil {
		return err
	}
	return a.result(struct {
		File        string `json:"file"`
		Fingerprint string `json:"rootFingerprint"`
	}{o.file, certs.FingerprintOf(root)}, "Root certificate  %s\nSHA-256           %s\n%s", o.file, certs.FingerprintOf(root), importHint(o.format))
}

// importHint says what to do with an exported root, where that is not plain. The
// menus are those of iOS 26 and Android 16.
func importHint(format string) string {
	switch certs.Format(format) {
	case certs.FormatMobileConfig:
		return "\nOn an iPhone or iPad: open the file, install it under Settings > General > VPN &\n" +
			"Device Management, and switch it on under Settings > General > About >\nCertificate Trust Settings. Remove the profile of an earlier authority yourself.\n"
	case certs.FormatDER:
		return "\nOn Android: Settings > Security & privacy > More > Encryption & credentials >\nInstall a certificate > CA certificate.\n"
	}
	return ""
}

// bundle needs more of the authority than its root.
func (a *app) bundle() ([]byte, error) {
	dir, err := authorityDir()
	if err != nil {
		return nil, err
	}
	ca, err := certs.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the local authority: %w", err)
	}
	return ca.Export(certs.FormatBundle)
}

// exportPKCS12 makes a certificate and writes it with its key.
func (a *app) exportPKCS12(o exportOptions) error {
	password, made, err := a.password(o.passwordFile)
	if err != nil {
		return err
	}
	r := certsReport{Names: o.names}
	if len(r.Names) == 0 {
		r.Names = defaultNames()
	}
	pair, err := a.issue(certsOptions{names: r.Names, client: o.client}, &r)
	if err != nil {
		return certsFault(err)
	}
	data, err := certs.EncodePKCS12(pair, password)
	if errors.Is(err, certs.ErrPassword) {
		return &fault{err, "choose another password", exitFailed}
	}
	if err != nil {
		return err
	}
	return a.writePKCS12(o, pair, data, password, made)
}

func (a *app) writePKCS12(o exportOptions, pair *tls.Certificate, data []byte, password string, made bool) error {
	if o.file == "" {
		if made { // stdout is the file
			fmt.Fprintf(a.err, "Password  %s\n", password)
		}
		_, err := a.out.Write(data)
		return err
	}
	if err := writeNew(o.file, data, 0o600); err != nil {
		return err
	}
	report := struct {
		File     string    `json:"file"`
		Password string    `json:"password,omitempty"` // only one that was made up
		Names    []string  `json:"names"`
		NotAfter time.Time `json:"notAfter"`
	}{o.file, "", namesOf(pair.Leaf), pair.Leaf.NotAfter}
	line := ""
	if made {
		report.Password, line = password, "Password     "+password+"\n"
	}
	return a.result(report, "PKCS#12      %s  (certificate and key: keep it to yourself)\n%sNames        %s\nExpires      %s\n",
		o.file, line, strings.Join(report.Names, ", "), moment(report.NotAfter))
}

// password reads a password from a file, or makes one up.
func (a *app) password(file string) (password string, made bool, err error) {
	if file == "" {
		return rand.Text(), true, nil
	}
	source := io.Reader(a.in)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", false, &fault{fmt.Errorf("reading the password: %w", err), "name a file that you can read, or leave --password-file out", exitFailed}
		}
		defer f.Close()
		source = f
	}
	const longest = 1024 // bytes; more is some other file
	data, err := io.ReadAll(io.LimitReader(source, longest+1))
	if err == nil && len(data) > longest {
		err = fmt.Errorf("it has more than %d bytes", longest)
	}
	if err != nil {
		return "", false, &fault{fmt.Errorf("reading the password: %w", err), "write the password into a file of one line", exitFailed}
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), false, nil
}

// writeNew writes a file that does not exist yet, whole or not at all.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &fault{fmt.Errorf("%s exists already", path), "choose another name, or delete it first", exitFailed}
	case err != nil:
		return &fault{fmt.Errorf("writing the certificate: %w", err), "choose a folder that exists and that you may write to", exitFailed}
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(path)
		return &fault{fmt.Errorf("writing the certificate: %w", err), "make room, or choose a file elsewhere with -o", exitFailed}
	}
	return nil
}

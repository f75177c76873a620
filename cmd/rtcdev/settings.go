package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// settingsFile is looked for in the current folder.
const settingsFile = "rtcdev.yaml"

// fromFile lists what the settings file may set. It may come with a folder that
// somebody else made, so it cannot speak for the person: nothing that opens this
// machine to others, changes what it trusts or what the authority may sign for,
// or replaces files.
func fromFile() []string {
	return []string{
		"json", "lang", "no-color", "no-install", "open", "port", "quiet", "room-size",
		"strict-port", "template", "verbose",
	}
}

// applySettings fills in the flags that the command line left out: from the
// environment (RTCDEV_STRICT_PORT for --strict-port), then from the settings
// file in dir (strict-port: true).
func applySettings(cmd *cobra.Command, lookupEnv func(string) (string, bool), dir string) error {
	file, err := readSettings(filepath.Join(dir, settingsFile), allFlags(cmd.Root()))
	if err != nil {
		return err
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		env := "RTCDEV_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, source := "", ""
		if v, ok := lookupEnv(env); ok && v != "" {
			value, source = v, env
		} else if v, ok := file[f.Name]; ok {
			value, source = v, settingsFile+": "+f.Name
		} else {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			errs = append(errs, usage("correct the value, or leave it out", "%s %s", source, valueFault(f, value)))
		}
	})
	return errors.Join(errs...)
}

// allFlags collects the names of the flags of cmd and all commands below it.
func allFlags(cmd *cobra.Command) map[string]bool {
	names := make(map[string]bool)
	add := func(f *pflag.Flag) { names[f.Name] = true }
	cmd.PersistentFlags().VisitAll(add)
	cmd.Flags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		maps.Copy(names, allFlags(sub))
	}
	return names
}

// readSettings reads a flat YAML mapping of flag names to values. known has all
// there are: the file serves every command.
func readSettings(path string, known map[string]bool) (map[string]string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, usage("correct "+settingsFile+", or move it away", "reading %s: %w", settingsFile, err)
	}
	const oneALine = "write one setting a line, such as  port: 9000"
	var raw map[string]yaml.Node
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, usage(oneALine, "%s is not a list of settings", settingsFile)
	}
	settings := make(map[string]string, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		switch value := raw[name]; {
		case !known[name]:
			return nil, usage("rtcdev serve --help lists the flags; their names without -- are the settings", "%s: there is no setting %q", settingsFile, name)
		case !slices.Contains(fromFile(), name):
			return nil, usage("remove the line, and give --"+name+" yourself", "%s: %q can not be set in a file, which may be somebody else's", settingsFile, name)
		case value.Kind != yaml.ScalarNode:
			return nil, usage(oneALine, "%s: %s has no plain value", settingsFile, name)
		default:
			settings[name] = value.Value
		}
	}
	return settings, nil
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// settingsFile is looked for in the current folder.
const settingsFile = "rtcdev.yaml"

// applySettings fills in the flags that the command line left out: from the
// environment (RTCDEV_STRICT_PORT for --strict-port), then from the settings
// file (strict-port: true).
func applySettings(flags *pflag.FlagSet, lookupEnv func(string) (string, bool), dir string) error {
	file, err := readSettings(filepath.Join(dir, settingsFile))
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
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
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, usage("correct the value, or leave it out", "%s: %w", source, err))
		}
	})
	return errors.Join(errs...)
}

// readSettings reads a flat YAML mapping of flag names to values. Names that no
// flag of the running command has are left alone: they are other commands'.
//
// The file may come with a folder that somebody else made, so it cannot answer
// for the person: trust stores are touched only when asked.
func readSettings(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, usage("write one setting a line, such as  port: 9000", "reading %s: %w", settingsFile, err)
	}
	settings := make(map[string]string, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if name == "trust" || name == "yes" {
			return nil, usage("remove the line, and give --"+name+" yourself", "%s: %s can not be set in a file, because it changes what this machine trusts", settingsFile, name)
		}
		switch value := raw[name].(type) {
		case string, bool, int, float64:
			settings[name] = fmt.Sprint(value)
		case []any:
			items := make([]string, len(value))
			for i, item := range value {
				items[i] = fmt.Sprint(item)
			}
			settings[name] = strings.Join(items, ",")
		default:
			return nil, usage("write one setting a line, such as  port: 9000", "%s: %s has no plain value", settingsFile, name)
		}
	}
	return settings, nil
}

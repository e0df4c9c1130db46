package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// FlagConfig is the flag that names configuration files.
const FlagConfig = "config"

// Loader makes an agent's configuration from files, the environment and flags: a
// flag counts before a variable, a variable before a file, and of files the later.
type Loader struct {
	kind     Kind
	defaults Agent
	paths    []string
	flags    *pflag.FlagSet
}

// Register adds the flags of a kind of agent to a command's. Load gives the
// configuration once they are parsed.
func Register(fs *pflag.FlagSet, kind Kind, defaults Agent) *Loader {
	l := &Loader{kind: kind, defaults: defaults, flags: fs}
	if kind&agents != 0 {
		fs.StringArrayVar(&l.paths, FlagConfig, nil, "an HCL file, or a directory of .hcl files; may be repeated, the later one counts")
	}
	for _, s := range settings {
		if s.of&kind == 0 || s.flag == "" || s.help == "" {
			continue
		}
		help := s.help
		if len(s.env) > 0 {
			help += " (env " + strings.Join(s.env, ", ") + ")"
		}
		v := &flagValue{setting: s}
		if s.get != nil {
			v.text = s.get(&defaults)
		}
		if f := fs.VarPF(v, s.flag, "", help); s.is == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	return l
}

// Given are the flags of these that were given, as arguments for another process.
func (l *Loader) Given() []string {
	var args []string
	l.flags.Visit(func(f *pflag.Flag) {
		if _, ours := f.Value.(*flagValue); ours {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// flagValue is a flag's text, which is looked at when everything is loaded.
type flagValue struct {
	setting
	text string
}

// String implements pflag.Value.
func (v *flagValue) String() string { return v.text }

// Set implements pflag.Value.
func (v *flagValue) Set(text string) error {
	if v.is == "object" && v.text != "" {
		text = v.text + "\n" + text
	}
	v.text = text
	return nil
}

// Type implements pflag.Value.
func (v *flagValue) Type() string {
	switch {
	case v.path:
		return "path"
	case v.is == "number":
		return "int"
	case v.is == "object":
		return "NAME=VALUE"
	}
	return v.is
}

// Load gives the configuration. An error is a *FilesError with everything that is
// wrong, each where it was said, or about reading the files.
func (l *Loader) Load() (Agent, error) { return l.load(l.paths, os.Getenv) }

// load is Load with the files and the environment given.
func (l *Loader) load(paths []string, getenv func(string) string) (Agent, error) {
	read, err := readFiles(paths)
	if err != nil {
		return Agent{}, err
	}
	a := l.defaults
	findings := read.findings
	// origin is where a setting's value was said, by its flag, for what is found later.
	origin := map[string]string{}
	take := func(s setting, from, text string) {
		if s.flag != "" {
			origin[s.flag] = from
		}
		if err := s.set(&a, text); err != nil {
			findings = append(findings, from+": "+err.Error())
		}
	}
	for _, s := range read.said {
		if s.of&l.kind != 0 {
			take(s.setting, place(s.place)+": "+s.key, s.text)
		}
	}
	for _, s := range settings {
		if s.of&l.kind == 0 {
			continue
		}
		for _, name := range s.env {
			// As the servers' tools have it, an empty variable is none.
			if text := getenv(name); text != "" {
				take(s, name, text)
				break
			}
		}
	}
	for _, s := range settings {
		if l.flags == nil || s.of&l.kind == 0 || s.flag == "" {
			continue
		}
		if f := l.flags.Lookup(s.flag); f != nil && f.Changed {
			take(s, "--"+s.flag, f.Value.String())
		}
	}
	a.ConsulAddress = a.withScheme(a.ConsulAddress)
	for _, p := range a.problems(l.kind) {
		from := origin[p.flag]
		if from == "" {
			from = "--" + p.flag
		}
		findings = append(findings, from+": "+p.text)
	}
	if len(findings) > 0 {
		return a, &FilesError{findings}
	}
	return a, nil
}

// withScheme gives Consul's address a scheme: CONSUL_HTTP_ADDR often has none. What is
// neither a URL nor host:port stays as it is, and is found wrong.
func (a Agent) withScheme(address string) string {
	if host, _, err := net.SplitHostPort(address); err != nil || host == "" || strings.Contains(address, "://") {
		return address
	}
	if a.consulSSL {
		return "https://" + address
	}
	return "http://" + address
}

// problem is what is wrong with a setting.
type problem struct{ flag, text string }

// Validate names every setting that cannot be used, as its flag is spelled.
func (a Agent) Validate() error {
	var errs []error
	for _, p := range a.problems(everyOf) {
		errs = append(errs, fmt.Errorf("--%s: %s", p.flag, p.text))
	}
	return errors.Join(errs...)
}

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

// Loader loads an agent's configuration from files, the environment and flags. A flag
// overrides a variable, a variable overrides a file, and a file overrides earlier files.
type Loader struct {
	kind     Kind
	defaults Agent
	paths    []string
	flags    *pflag.FlagSet
}

// Register adds the flags of a kind of agent to a command's flags. Call Load after they
// are parsed.
func Register(fs *pflag.FlagSet, kind Kind, defaults Agent) *Loader {
	l := &Loader{kind: kind, defaults: defaults, flags: fs}
	if kind&agentKinds != 0 {
		fs.StringArrayVar(&l.paths, FlagConfig, nil, "an HCL file, or a directory of .hcl files; may be repeated, and a later one overrides")
	}
	for _, s := range settings {
		if s.kinds&kind == 0 || s.flag == "" || s.help == "" {
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
		if f := fs.VarPF(v, s.flag, "", help); s.hclType == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	return l
}

// Kind returns the kind of program that the configuration is for.
func (l *Loader) Kind() Kind { return l.kind }

// Given returns the configuration flags that were set, as arguments for another process.
func (l *Loader) Given() []string {
	var args []string
	l.flags.Visit(func(f *pflag.Flag) {
		if _, ours := f.Value.(*flagValue); ours {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// flagValue is a flag's text. Load parses it.
type flagValue struct {
	setting
	text string
}

// String implements pflag.Value.
func (v *flagValue) String() string { return v.text }

// Set implements pflag.Value.
func (v *flagValue) Set(text string) error {
	if (v.hclType == "object" || v.hclType == "list" || v.labelled) && v.text != "" {
		text = v.text + "\n" + text
	}
	v.text = text
	return nil
}

// Type implements pflag.Value.
func (v *flagValue) Type() string {
	switch {
	case v.labelled:
		return "NAME=VALUE"
	case v.path:
		return "path"
	case v.decimal:
		return "float"
	case v.hclType == "number":
		return "int"
	case v.hclType == "object":
		return "NAME=VALUE"
	case v.hclType == "list":
		return "string"
	}
	return v.hclType
}

// Load returns the configuration. The error is a *FilesError with everything that is
// wrong, or says why a file could not be read.
func (l *Loader) Load() (Agent, error) { return l.load(l.paths, os.Getenv) }

// load is Load for the given files and environment.
func (l *Loader) load(paths []string, getenv func(string) string) (Agent, error) {
	read, err := readFiles(paths)
	if err != nil {
		return Agent{}, err
	}
	a := l.defaults
	findings := read.findings
	// sources has the source of each setting's value, with the flag as key. Problems that
	// are found later name it.
	sources := map[string]string{}
	apply := func(s setting, source, text string) {
		if s.flag != "" {
			sources[s.flag] = source
		}
		if err := s.set(&a, text); err != nil {
			findings = append(findings, source+": "+err.Error())
		}
	}
	for _, s := range read.values {
		if s.kinds&l.kind != 0 {
			apply(s.setting, position(s.pos)+": "+s.key, s.text)
		}
	}
	for _, s := range settings {
		if s.kinds&l.kind == 0 {
			continue
		}
		for _, name := range s.env {
			// An empty variable counts as unset, as in the tools of Nomad and Consul.
			if text := getenv(name); text != "" {
				apply(s, name, text)
				break
			}
		}
	}
	for _, s := range settings {
		if l.flags == nil || s.kinds&l.kind == 0 || s.flag == "" {
			continue
		}
		if f := l.flags.Lookup(s.flag); f != nil && f.Changed {
			apply(s, "--"+s.flag, f.Value.String())
		}
	}
	a.ConsulAddress = a.withScheme(a.ConsulAddress)
	for _, p := range a.problems(l.kind) {
		source := sources[p.flag]
		if source == "" {
			source = "--" + p.flag
		}
		findings = append(findings, source+": "+p.text)
	}
	if len(findings) > 0 {
		return a, &FilesError{findings}
	}
	return a, nil
}

// withScheme adds a scheme to Consul's address, because CONSUL_HTTP_ADDR often has none.
// It returns an address that is neither a URL nor host:port unchanged, and validation
// finds it.
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

// Validate returns an error with every setting that cannot be used, by its flag.
func (a Agent) Validate() error {
	var errs []error
	for _, p := range a.problems(allKinds) {
		errs = append(errs, fmt.Errorf("--%s: %s", p.flag, p.text))
	}
	return errors.Join(errs...)
}

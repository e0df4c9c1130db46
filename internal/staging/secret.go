package staging

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Some values of resources may be secrets: a jobspec may hold the password of a registry, a
// hook's environment the key of a service. Only administrators see them. This file is the one
// place that knows which values these are; TestEveryFieldIsShownOrHidden fails for a new field
// that is neither listed there as shown nor hidden here.

// Hidden stands for a value that may be a secret. A resource that is stored with it keeps the
// value that is stored.
const Hidden = "(hidden)"

// HiddenChanged is Hidden for a value that was another before.
const HiddenChanged = "(hidden, changed)"

// Secret is a value of a resource that may be a secret.
type Secret struct {
	// Field is its path, as in a FieldError.
	Field string
	// Of is the length of the list that it is in; 0 if it is in none. Elements of two lists
	// are the same only if the lists have the same length.
	Of int
	// Value is a string, or what JSON has in a run config.
	Value any
}

// at identifies the secret among those of another version of the resource.
func (s Secret) at() Secret { return Secret{Field: s.Field, Of: s.Of} }

// Confidential is a kind of resource of which some values may be secrets.
type Confidential[T any] interface {
	// MapSecrets returns a copy in which each value that may be a secret is replaced by what
	// change returns for it.
	MapSecrets(change func(Secret) any) T
}

// MapSecrets returns the zone: nothing in it is a secret.
func (z Zone) MapSecrets(func(Secret) any) Zone { return z }

// MapSecrets returns the staging config: nothing in it is a secret.
func (c Config) MapSecrets(func(Secret) any) Config { return c }

// MapSecrets implements Confidential. The whole text of the jobspec may hold secrets, and so
// may its variables, the driver's config, and what hooks are given.
func (i Image) MapSecrets(change func(Secret) any) Image {
	if i.Jobspec != "" {
		i.Jobspec = text(change(Secret{Field: "jobspec", Value: i.Jobspec}))
	}
	i.Variables = mapValues("variables", i.Variables, change)
	i.RunConfig = mapValues(settingRunConfig, i.RunConfig, change)
	i.ExecConfig = ExecConfig{
		FirstLaunch: i.ExecConfig.FirstLaunch.mapSecrets(HookFirstLaunch, change),
		Assign:      i.ExecConfig.Assign.mapSecrets(HookAssign, change),
		Go:          i.ExecConfig.Go.mapSecrets(HookGo, change),
		PreEnd:      i.ExecConfig.PreEnd.mapSecrets(HookPreEnd, change),
		PreStop:     i.ExecConfig.PreStop.mapSecrets(HookPreStop, change),
	}
	return i
}

// MapSecrets implements Confidential.
func (g Group) MapSecrets(change func(Secret) any) Group {
	g.RunConfig = mapValues(settingRunConfig, g.RunConfig, change)
	return g
}

// mapSecrets maps the secrets of a hook: its environment, and the arguments of its program.
func (h *Hook) mapSecrets(name HookName, change func(Secret) any) *Hook {
	if h == nil {
		return nil
	}
	field := "exec_config." + string(name)
	mapped := *h
	mapped.Cmd = slices.Clone(h.Cmd)
	for n := 1; n < len(h.Cmd); n++ {
		mapped.Cmd[n] = text(change(Secret{Field: fmt.Sprintf("%s.cmd[%d]", field, n), Of: len(h.Cmd), Value: h.Cmd[n]}))
	}
	mapped.Environment = mapValues(field+".environment", h.Environment, change)
	return &mapped
}

func mapValues[V any](field string, values map[string]V, change func(Secret) any) map[string]V {
	mapped := maps.Clone(values)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		mapped[name], _ = change(Secret{Field: field + "." + name, Value: values[name]}).(V)
	}
	return mapped
}

// text returns a string; "" for what is none.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// Redacted returns a resource as those see it who are no administrators: Hidden stands for
// each value that may be a secret.
func Redacted[T Confidential[T]](v T) T {
	return v.MapSecrets(func(Secret) any { return Hidden })
}

// RedactedChange returns two versions of a resource without what may be a secret. In the
// second, HiddenChanged stands for a value that the first has otherwise. Either may be nil.
func RedactedChange[T Confidential[T]](before, after *T) (was, is *T) {
	old := map[Secret]any{}
	if before != nil {
		was = new((*before).MapSecrets(func(s Secret) any {
			old[s.at()] = s.Value
			return Hidden
		}))
	}
	if after != nil {
		is = new((*after).MapSecrets(func(s Secret) any {
			if before, had := old[s.at()]; had && !reflect.DeepEqual(before, s.Value) {
				return HiddenChanged
			}
			return Hidden
		}))
	}
	return was, is
}

// KeepHidden returns a resource in which each Hidden is replaced by the value that the stored
// version has in the same field; stored is nil for none. It returns an *InvalidError about
// what, such as `image "demo"`, that names each field for which nothing is stored.
func KeepHidden[T Confidential[T]](what string, v T, stored *T) (T, error) {
	kept := map[Secret]any{}
	if stored != nil {
		(*stored).MapSecrets(func(s Secret) any {
			kept[s.at()] = s.Value
			return s.Value
		})
	}
	var p problems
	whole := v.MapSecrets(func(s Secret) any {
		if s.Value != Hidden {
			return s.Value
		}
		value, had := kept[s.at()]
		switch {
		case had:
		case s.Of > 0:
			p.add(s.Field, "is %s, which keeps what is stored there, and no list of %d elements is stored: write the value itself", Hidden, s.Of)
		default:
			p.add(s.Field, "is %s, which keeps what is stored there, and nothing is: write the value itself", Hidden)
		}
		return value
	})
	return whole, p.err(what)
}

// HideIn returns what is wrong with a resource without what may be a secret: a message about
// a field of which the value may be one does not repeat it.
func HideIn[T Confidential[T]](v T, wrong []FieldError) []FieldError {
	secret := map[string]bool{}
	v.MapSecrets(func(s Secret) any {
		secret[s.Field] = true
		return s.Value
	})
	hidden := slices.Clone(wrong)
	for n, f := range wrong {
		if secret[f.Field] {
			hidden[n].Message = "is not valid, and may hold a secret, so more is not shown"
		}
	}
	return hidden
}

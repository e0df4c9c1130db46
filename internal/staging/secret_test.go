package staging_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/staging"
)

// shown are the fields of resources that hold text and that every reader of resources may see,
// since no secret belongs into them. A field that is neither here nor hidden by MapSecrets
// fails the test: decide which it is. Fields of lists and maps have [] for the index or key.
var shown = []string{
	"zone.name", "zone.region", "zone.datacenters[]", "zone.node_pool", "zone.namespace", "zone.alternate_zones[]",
	"zone.allow_origin_domain", "zone.upstream_auth_address", "zone.allowed_groups[]", "zone.peer", "zone.peer_zone",

	"image.name", "image.restrict_to_zones[]", "image.labels[]", "image.allowed_groups[]", "image.volume_mappings[].source", "image.volume_mappings[].target",
	"image.persistent_profile_path", "image.web_filter_policy",
	// Users see it, with their own values in place of its tokens.
	"image.connect_url",
	"image.exec_config.first_launch.task", "image.exec_config.first_launch.cmd[0]", "image.exec_config.first_launch.workdir", "image.exec_config.first_launch.user",
	"image.exec_config.assign.task", "image.exec_config.assign.cmd[0]", "image.exec_config.assign.workdir", "image.exec_config.assign.user",
	"image.exec_config.go.task", "image.exec_config.go.cmd[0]", "image.exec_config.go.workdir", "image.exec_config.go.user",
	"image.exec_config.pre_end.task", "image.exec_config.pre_end.cmd[0]", "image.exec_config.pre_end.workdir", "image.exec_config.pre_end.user",
	"image.exec_config.pre_stop.task", "image.exec_config.pre_stop.cmd[0]", "image.exec_config.pre_stop.workdir", "image.exec_config.pre_stop.user",

	"group.name", "group.permissions[]", "group.volume_mapping[].source", "group.volume_mapping[].target", "group.web_filter_policy",
	"group.allowed_environment[]",

	"staging.name", "staging.zone", "staging.image", "staging.permissions[]", "staging.labels[]", "staging.max_unavailable", "staging.spread", "staging.update",
	"staging.sizing.mode", "staging.sizing.time_zone", "staging.schedule[].cron", "staging.schedule[].time_zone",

	"webhook.name", "webhook.secret_fingerprint", "webhook.events[]", "webhook.zones[]", "webhook.images[]", "webhook.staging[]", "webhook.ca_cert",
}

// TestEveryFieldIsShownOrHidden: a new field of a resource cannot be forgotten.
func TestEveryFieldIsShownOrHidden(t *testing.T) {
	found := map[string]bool{}
	classify(t, found, "zone", staging.Zone{})
	classify(t, found, "image", staging.Image{})
	classify(t, found, "group", staging.Group{})
	classify(t, found, "staging", staging.Config{})
	classify(t, found, "webhook", staging.Webhook{})
	for _, field := range shown {
		if !found[field] {
			t.Errorf("%s is listed as shown, and is hidden or does not exist", field)
		}
	}
	if len(found) != len(shown) {
		t.Errorf("%d fields are shown, %d are listed", len(found), len(shown))
	}
}

// classify fills every field of a resource, and checks that each text in it is hidden or
// listed as shown. It adds those that are shown to found.
func classify[T staging.Confidential[T]](t *testing.T, found map[string]bool, kind string, v T) {
	fill(reflect.ValueOf(&v).Elem())
	secrets := 0
	whole := v.MapSecrets(func(s staging.Secret) any { secrets++; return s.Value })
	if diff := cmp.Diff(v, whole); diff != "" {
		t.Errorf("%s: a change that changes nothing does (-before +after):\n%s", kind, diff)
	}
	redacted := staging.Redacted(v)
	hidden := 0
	texts(reflect.ValueOf(redacted), kind, func(field, text string) {
		switch {
		case text == staging.Hidden:
			hidden++
		case slices.Contains(shown, field):
			found[field] = true
		default:
			t.Errorf("%s is neither hidden nor listed as shown: may it hold a secret? If so, add it to MapSecrets, if not, to the list here", field)
		}
	})
	if hidden != secrets {
		t.Errorf("%s: %d values are secrets, and %d are hidden", kind, secrets, hidden)
	}
	texts(reflect.ValueOf(v), kind, func(field, text string) {
		if text == staging.Hidden {
			t.Errorf("%s: the original was changed", field)
		}
	})
}

// fill sets everything in a value: lists and maps get elements.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for n := range v.NumField() {
			fill(v.Field(n))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for n := range v.Len() {
			fill(v.Index(n))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf(any(map[string]any{"password": "text"})))
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic(fmt.Sprintf("a resource has a %s: teach this test to fill it", v.Kind()))
	}
}

// texts calls do with each text in a value, and with the keys of maps without texts.
func texts(v reflect.Value, field string, do func(field, text string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		texts(v.Elem(), field, do)
	case reflect.Struct:
		for n := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(n).Tag.Get("json"), ",")
			texts(v.Field(n), field+"."+name, do)
		}
	case reflect.Slice:
		for n := range v.Len() {
			at := field + "[]"
			// The program of a hook is not one of its arguments.
			if strings.HasSuffix(field, ".cmd") {
				at = fmt.Sprintf("%s[%d]", field, n)
			}
			texts(v.Index(n), at, do)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if v.Type().Elem().Kind() == reflect.Bool {
				do(field+"[]", key.String())
			}
			texts(v.MapIndex(key), field+"[]", do)
		}
	case reflect.String:
		do(field, v.String())
	}
}

// secretive is an image with a secret in each place that may have one.
func secretive() staging.Image {
	return staging.Image{
		Name: "demo", Jobspec: `auth { password = "hunter2" }`,
		Variables: map[string]string{"registry_password": "hunter3", "tag": "v1"},
		RunConfig: map[string]any{"auth": map[string]any{"password": "hunter4"}, "privileged": true},
		ExecConfig: staging.ExecConfig{Assign: &staging.Hook{
			Cmd: []string{"/bin/login", "--password", "hunter5"}, Environment: map[string]string{"API_KEY": "hunter6"},
		}},
	}
}

// TestWhatIsStoredAgainRedactedKeepsItsSecrets, field by field.
func TestWhatIsStoredAgainRedactedKeepsItsSecrets(t *testing.T) {
	stored := secretive()
	redacted := staging.Redacted(stored)
	if text := fmt.Sprintf("%+v %+v", redacted, *redacted.ExecConfig.Assign); strings.Contains(text, "hunter") || !strings.Contains(text, "/bin/login") {
		t.Errorf("it holds a secret, or hides the program: %s", text)
	}
	kept, err := staging.KeepHidden(`image "demo"`, redacted, &stored)
	if diff := cmp.Diff(stored, kept); diff != "" || err != nil {
		t.Errorf("%v (-stored +kept):\n%s", err, diff)
	}
	// What is no longer hidden is new, and what is left out is gone.
	redacted.Variables = map[string]string{"registry_password": staging.Hidden, "tag": "v2"}
	delete(redacted.RunConfig, "privileged")
	kept, err = staging.KeepHidden(`image "demo"`, redacted, &stored)
	want := secretive()
	want.Variables["tag"] = "v2"
	delete(want.RunConfig, "privileged")
	if diff := cmp.Diff(want, kept); diff != "" || err != nil {
		t.Errorf("%v (-want +kept):\n%s", err, diff)
	}
}

// TestWhereNothingIsStoredTheFieldIsNamed: the text (hidden) itself is never stored.
func TestWhereNothingIsStoredTheFieldIsNamed(t *testing.T) {
	stored := secretive()
	added := staging.Redacted(secretive())
	added.Variables["new"] = staging.Hidden
	// A longer list: nothing says which of the stored arguments is meant.
	added.ExecConfig.Assign.Cmd = []string{"/bin/login", "-v", "--password", staging.Hidden}
	added.ExecConfig.Go = &staging.Hook{Cmd: []string{"/open"}, Environment: map[string]string{"API_KEY": staging.Hidden}}
	for what, tt := range map[string]struct {
		stored *staging.Image
		fields []string
	}{
		"beside a stored one": {&stored, []string{"variables.new", "exec_config.assign.cmd[3]", "exec_config.go.environment.API_KEY"}},
		"without one": {nil, []string{
			"jobspec", "variables.new", "variables.registry_password", "variables.tag", "run_config.auth", "run_config.privileged",
			"exec_config.assign.cmd[3]", "exec_config.assign.environment.API_KEY", "exec_config.go.environment.API_KEY",
		}},
	} {
		_, err := staging.KeepHidden(`image "demo"`, added, tt.stored)
		invalid, ok := errors.AsType[*staging.InvalidError](err)
		if !ok {
			t.Fatalf("%s: %v", what, err)
		}
		var fields []string
		for _, f := range invalid.Fields {
			fields = append(fields, f.Field)
		}
		if diff := cmp.Diff(tt.fields, fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// TestAChangeOfASecretShows, and the secret does not.
func TestAChangeOfASecretShows(t *testing.T) {
	before, after := secretive(), secretive()
	after.Variables = map[string]string{"registry_password": "hunter9", "tag": "v1", "new": "hunter10"}
	after.RunConfig = map[string]any{"auth": map[string]any{"password": "hunter11"}}
	was, is := staging.RedactedChange(&before, &after)
	if text := fmt.Sprintf("%+v %+v %+v", was, is, *is.ExecConfig.Assign); strings.Contains(text, "hunter") {
		t.Errorf("it holds a secret: %s", text)
	}
	want := map[string]string{"registry_password": staging.HiddenChanged, "tag": staging.Hidden, "new": staging.Hidden}
	if diff := cmp.Diff(want, is.Variables); diff != "" || is.Jobspec != staging.Hidden || is.RunConfig["auth"] != staging.HiddenChanged {
		t.Errorf("%+v (-want +got):\n%s", is, diff)
	}
	if was, is := staging.RedactedChange[staging.Image](nil, nil); was != nil || is != nil {
		t.Errorf("of nothing: %v, %v", was, is)
	}
}

// TestMessagesAboutSecretsDoNotRepeatThem: why a stored resource cannot be read is in the
// status, which viewers see.
func TestMessagesAboutSecretsDoNotRepeatThem(t *testing.T) {
	i := secretive()
	i.ExecConfig.Assign.Environment["API_KEY"] = "{hunter7}"
	i.ExecConfig.Assign.Cmd[2] = "{hunter8}"
	i.WebFilterPolicy = strings.Repeat("long", 1000)
	invalid, ok := errors.AsType[*staging.InvalidError](i.Validate())
	if !ok || len(invalid.Fields) != 3 {
		t.Fatalf("%v", i.Validate())
	}
	text := fmt.Sprint(staging.HideIn(i, invalid.Fields))
	if strings.Contains(text, "hunter") || !strings.Contains(text, "at most") || !strings.Contains(text, "exec_config.assign.environment.API_KEY") {
		t.Errorf("%s", text)
	}
}

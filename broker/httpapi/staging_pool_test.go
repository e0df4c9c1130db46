package httpapi

import (
	"reflect"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAPoolHasEverySettingOfItsConfig: what one reads of a pool and stores again changes nothing,
// whatever settings a config gets.
func TestAPoolHasEverySettingOfItsConfig(t *testing.T) {
	of := reflect.TypeFor[staging.Config]()
	for i := range of.NumField() {
		var c staging.Config
		set(t, reflect.ValueOf(&c).Elem().Field(i))
		if got := ofConfig(c).Config(); !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v, want %+v", of.Field(i).Name, got, c)
		}
	}
}

// set gives a value that is not the zero of its type.
func set(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
	default:
		t.Fatalf("a setting of kind %s", v.Kind())
	}
}

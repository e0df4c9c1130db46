// Package web is the operators' page: files that the broker serves below /ui/. They call
// nothing but the documented API, as the user who is logged in.
//
// It promises that the page works without any other server: it fetches only the files
// embedded here and the broker's API, and the policy that it is served with makes the
// browser refuse everything else, also inline scripts and styles. Nothing is built or
// generated: the browser runs the files in assets as they are. Text from the API is put
// into the page as text, never as markup, which the policy enforces as well.
package web

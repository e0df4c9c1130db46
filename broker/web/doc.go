// Package web is the operators' page: files that the broker serves below /ui/, and that
// call the documented API alone, as the one who is logged in.
//
// It promises that the page works without any other server: it fetches nothing but what
// is embedded here and the broker's API, and the policy that it is served with has the
// browser refuse all else, inline scripts and styles among it. Nothing of it is built or
// generated: what is in assets is what the browser runs. What comes from the API is put
// into the page as text, never as markup, which the policy demands as well.
package web

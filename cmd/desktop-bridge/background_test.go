package main

import (
	"bytes"
	"image"
	"image/color"
	"strings"
	"testing"
)

// noFonts leaves the font that is built in.
var noFonts = fontFiles{"/no/such/font"}

// count returns how many pixels of a part of a picture have a colour.
func count(m *image.RGBA, in image.Rectangle, c color.RGBA) (n int) {
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			if m.RGBAAt(x, y) == c {
				n++
			}
		}
	}
	return n
}

// name is where the name is.
func name(m *image.RGBA) image.Rectangle {
	return image.Rect(margin+2*badge, 0, m.Rect.Dx()-120, stripHeight)
}

func TestANameIsDrawn(t *testing.T) {
	nobody, alice, bob := draw(640, 480, "", noFonts), draw(640, 480, "alice", noFonts), draw(640, 480, "bob", noFonts)
	if n := count(nobody, nobody.Rect, bright) + count(nobody, nobody.Rect, accent); n != 0 {
		t.Errorf("without a user, %d pixels are a name's", n)
	}
	if count(alice, name(alice), bright) == 0 || count(alice, alice.Rect, accent) == 0 {
		t.Error("alice's name is not there")
	}
	if bytes.Equal(alice.Pix, bob.Pix) {
		t.Error("alice and bob have the same desktop")
	}
	below := alice.Pix[stripHeight*alice.Stride:]
	if !bytes.Equal(below, nobody.Pix[stripHeight*nobody.Stride:]) {
		t.Error("a name is drawn below its strip")
	}
}

// Names are text: characters that move, hide or reorder text are not drawn, nothing is markup, and
// what does not fit leaves the menu's sign alone.
func TestANameIsText(t *testing.T) {
	plain := draw(640, 480, "alice", noFonts)
	for _, like := range []string{" alice\n", "al\u202eice", "ali\x00ce", "\u200balice\ufeff", "\x1b[alice"[:1] + "alice"} {
		if got := draw(640, 480, like, noFonts); !bytes.Equal(got.Pix, plain.Pix) {
			t.Errorf("%q is not drawn as alice", like)
		}
	}
	for _, name := range []string{"<b>alice</b>", strings.Repeat("W", 500), "\xff\xfe", "日本語", "ﷺ", strings.Repeat("\u0301", 50)} {
		nobody, got := draw(640, 480, "", noFonts), draw(640, 480, name, noFonts)
		if bytes.Equal(got.Pix, nobody.Pix) {
			t.Errorf("%.20q is not drawn", name)
		}
		sign := image.Rect(640-100, 0, 640, stripHeight)
		if a, b := count(nobody, sign, soft), count(got, sign, soft); a != b || count(got, sign, bright) != 0 {
			t.Errorf("%.20q is drawn over the menu's sign", name)
		}
	}
}

// A window may be of any size.
func TestSmallScreens(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {60, 20}, {minWidth, stripHeight - 1}, {minWidth - 1, stripHeight}, {minWidth, stripHeight}} {
		if got := draw(size.X, size.Y, "alice", noFonts); got.Rect.Size() != size {
			t.Errorf("a screen of %v has a background of %v", size, got.Rect)
		}
	}
}

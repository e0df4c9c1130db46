package main

import (
	"image"
	"image/color"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// Sizes and colours of the background: a strip with the name over a gradient. Openbox keeps
// windows off the strip (jobspecs/desktop/rootfs/etc/desktop/openbox.xml).
const (
	stripHeight = 48
	badge       = 14 // its radius
	margin      = 16
	textSize    = 15
	// minWidth is what the strip needs; a narrower screen has the gradient alone.
	minWidth = 200
)

var (
	top    = color.RGBA{0x0e, 0x24, 0x1e, 0xff}
	bottom = color.RGBA{0x0b, 0x6e, 0x50, 0xff}
	accent = color.RGBA{0x3f, 0xbf, 0x8f, 0xff}
	dark   = color.RGBA{0x06, 0x23, 0x1a, 0xff}
	bright = color.RGBA{0xf4, 0xf8, 0xf6, 0xff}
	soft   = color.RGBA{0x9d, 0xc4, 0xb6, 0xff}
)

// fontFiles are paths of font files, best first. A character is drawn from the first that has it.
type fontFiles []string

// defaultFonts are those of the image.
var defaultFonts = fontFiles{
	"/usr/share/fonts/opentype/inter/Inter-SemiBold.otf",
	"/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
	"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
}

// draw returns a background of the given size with the user's name, if there is one. What menu to
// expect is drawn always.
func draw(width, height int, name string, files fontFiles) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		c := mix(top, bottom, y, height)
		row := m.Pix[y*m.Stride : y*m.Stride+4*width]
		for i := 0; i < len(row); i += 4 {
			row[i], row[i+1], row[i+2], row[i+3] = c.R, c.G, c.B, c.A
		}
	}
	if width < minWidth || height < stripHeight {
		return m
	}
	t := newText(m, files)
	const menu = "Menu"
	menuWidth := t.width(menu)
	t.write(menu, width-margin-menuWidth, soft)
	lines(m, width-margin-menuWidth-26)
	if name = oneLine(name); name == "" {
		return m
	}
	disc(m, margin+badge, stripHeight/2, badge, accent)
	initial, _ := utf8.DecodeRuneInString(name)
	letter := string(unicode.ToUpper(initial))
	t.write(letter, margin+badge-t.width(letter)/2, dark)
	left := margin + 2*badge + 12
	t.write(t.shortened(name, width-left-menuWidth-4*margin-26), left, bright)
	return m
}

// oneLine returns a name without characters that move or hide text.
func oneLine(name string) string {
	name = strings.ToValidUTF8(name, "�")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, name))
}

// mix returns the colour at step i of n between two.
func mix(a, b color.RGBA, i, n int) color.RGBA {
	at := func(x, y uint8) uint8 { return uint8((int(x)*(n-i) + int(y)*i) / n) }
	return color.RGBA{at(a.R, b.R), at(a.G, b.G), at(a.B, b.B), 0xff}
}

// lines draws the sign of a menu.
func lines(m *image.RGBA, x int) {
	for _, y := range []int{-5, 0, 5} {
		for dy := range 2 {
			for dx := range 16 {
				m.SetRGBA(x+dx, stripHeight/2+y+dy-1, soft)
			}
		}
	}
}

// disc draws a filled circle.
func disc(m *image.RGBA, x, y, radius int, c color.RGBA) {
	const bow = 0.5523 // of the radius: where a curve's control points make a quarter of a circle
	r := float32(radius)
	k := r * bow
	v := vector.NewRasterizer(2*radius, 2*radius)
	v.MoveTo(2*r, r)
	v.CubeTo(2*r, r+k, r+k, 2*r, r, 2*r)
	v.CubeTo(r-k, 2*r, 0, r+k, 0, r)
	v.CubeTo(0, r-k, r-k, 0, r, 0)
	v.CubeTo(r+k, 0, 2*r, r-k, 2*r, r)
	v.ClosePath()
	v.Draw(m, image.Rect(x-radius, y-radius, x+radius, y+radius), image.NewUniform(c), image.Point{})
}

// text draws text into the strip.
type text struct {
	to    *image.RGBA
	faces []font.Face
}

// newText opens the fonts. One that is missing or broken is left out: a name in the font that is
// built in is better than no desktop.
func newText(to *image.RGBA, files fontFiles) *text {
	t := &text{to: to}
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil {
			t.add(b)
		}
	}
	t.add(goregular.TTF)
	return t
}

func (t *text) add(content []byte) {
	f, err := opentype.Parse(content)
	if err != nil {
		return
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: textSize, DPI: 72, Hinting: font.HintingNone})
	if err == nil {
		t.faces = append(t.faces, face)
	}
}

// face returns the first font that has a character, or the first of all.
func (t *text) face(r rune) font.Face {
	for _, f := range t.faces {
		if _, has := f.GlyphAdvance(r); has {
			return f
		}
	}
	return t.faces[0]
}

// width returns the width of a text in pixels.
func (t *text) width(s string) int {
	var w fixed.Int26_6
	for _, r := range s {
		advance, _ := t.face(r).GlyphAdvance(r)
		w += advance
	}
	return w.Ceil()
}

// shortened returns as much of a text as fits, with an ellipsis if not all does.
func (t *text) shortened(s string, width int) string {
	if t.width(s) <= width {
		return s
	}
	letters := []rune(s)
	for len(letters) > 0 && t.width(string(letters)+"…") > width {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}

// write draws a text at x.
func (t *text) write(s string, x int, c color.RGBA) {
	dot := fixed.P(x, stripHeight/2+textSize*36/100)
	for _, r := range s {
		d := font.Drawer{Dst: t.to, Src: image.NewUniform(c), Face: t.face(r), Dot: dot}
		d.DrawString(string(r))
		dot = d.Dot
	}
}

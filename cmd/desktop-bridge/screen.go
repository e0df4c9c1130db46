package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

// maxName bounds a user's name in the X server, in bytes.
const maxName = 1 << 10

// putBytes bounds the pixels in one request to the X server, which takes 256 KiB without an
// extension.
const putBytes = 128 << 10

// replyTimeout is how long a check waits for the X server's answer to another one.
const replyTimeout = time.Second

// errScreenGone: the X server has ended.
var errScreenGone = errors.New("the X server has ended")

// screen is a connection to the X server.
type screen struct {
	conn  *xgb.Conn
	root  xproto.Window
	info  *xproto.ScreenInfo
	fonts fontFiles
	// name is a property of the root window with the user's name, so that any process that paints
	// knows it. clients is the window manager's list of windows, utf8 the type of the name.
	name, clients, utf8 xproto.Atom
	// turn has room for one who counts windows: while the X server hangs, no more wait for it.
	turn chan struct{}
}

// openScreen connects to the X server of DISPLAY.
func openScreen(fonts fontFiles) (*screen, error) {
	xgb.Logger.SetOutput(io.Discard) // it tells that there is no password; errors are returned
	conn, err := xgb.NewConn()
	if err != nil {
		return nil, fmt.Errorf("connect to the X server: %w", err)
	}
	info := xproto.Setup(conn).DefaultScreen(conn)
	s := &screen{conn: conn, root: info.Root, info: info, fonts: fonts, turn: make(chan struct{}, 1)}
	for name, to := range map[string]*xproto.Atom{"_GREENROOM_USER": &s.name, "_NET_CLIENT_LIST": &s.clients, "UTF8_STRING": &s.utf8} {
		reply, err := xproto.InternAtom(conn, false, uint16(len(name)), name).Reply()
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("find the X server's atom %s: %w", name, err)
		}
		*to = reply.Atom
	}
	return s, nil
}

func (s *screen) close() { s.conn.Close() }

// setName stores the user's name.
func (s *screen) setName(name string) error {
	b := []byte(name)[:min(len(name), maxName)]
	err := xproto.ChangePropertyChecked(s.conn, xproto.PropModeReplace, s.root, s.name, s.utf8, 8, uint32(len(b)), b).Check()
	if err != nil {
		return fmt.Errorf("store the name in the X server: %w", err)
	}
	return nil
}

// property reads a property of the root window; nil if it is not set.
func (s *screen) property(of xproto.Atom) ([]byte, error) {
	reply, err := xproto.GetProperty(s.conn, false, s.root, of, xproto.GetPropertyTypeAny, 0, 1<<16).Reply()
	if err != nil {
		return nil, fmt.Errorf("read a property of the X server: %w", err)
	}
	return reply.Value, nil
}

// windows returns how many windows of programs are mapped: those that the window manager lists.
func (s *screen) windows() (int, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-time.After(replyTimeout):
		return 0, errors.New("the X server does not answer")
	}
	list, err := s.property(s.clients)
	if err != nil {
		return 0, err
	}
	n := 0
	for ; len(list) >= 4; list = list[4:] {
		w := xproto.Window(binary.LittleEndian.Uint32(list))
		// A window that has gone since then is not one more.
		if a, err := xproto.GetWindowAttributes(s.conn, w).Reply(); err == nil && a.MapState == xproto.MapStateViewable {
			n++
		}
	}
	return n, nil
}

// follow paints again when the size of the screen changes, and returns when the X server is gone.
func (s *screen) follow() error {
	err := xproto.ChangeWindowAttributesChecked(s.conn, s.root, xproto.CwEventMask, []uint32{xproto.EventMaskStructureNotify}).Check()
	if err != nil {
		return fmt.Errorf("follow the screen's size: %w", err)
	}
	// The size may have changed before its changes were followed.
	if err := s.paint(); err != nil {
		return err
	}
	for {
		event, failed := s.conn.WaitForEvent()
		if event == nil && failed == nil {
			return errScreenGone
		}
		if changed, ok := event.(xproto.ConfigureNotifyEvent); ok && changed.Window == s.root {
			if err := s.paint(); err != nil {
				return err
			}
		}
	}
}

// paint draws the desktop's background, with the name. It returns when the X server has drawn it.
// Others wait meanwhile, so that of two painters the second one knows the newest name and size.
func (s *screen) paint() error {
	if err := xproto.GrabServerChecked(s.conn).Check(); err != nil {
		return fmt.Errorf("grab the X server: %w", err)
	}
	err := s.paintAlone()
	return errors.Join(err, xproto.UngrabServerChecked(s.conn).Check())
}

func (s *screen) paintAlone() error {
	size, err := xproto.GetGeometry(s.conn, xproto.Drawable(s.root)).Reply()
	if err != nil {
		return fmt.Errorf("find the screen's size: %w", err)
	}
	name, err := s.property(s.name)
	if err != nil {
		return err
	}
	picture := draw(int(size.Width), int(size.Height), string(name), s.fonts)
	pixmap, err := xproto.NewPixmapId(s.conn)
	if err != nil {
		return err
	}
	depth := s.info.RootDepth
	if err := xproto.CreatePixmapChecked(s.conn, depth, pixmap, xproto.Drawable(s.root), size.Width, size.Height).Check(); err != nil {
		return fmt.Errorf("create a pixmap: %w", err)
	}
	// The window keeps the pixmap as its background.
	defer xproto.FreePixmap(s.conn, pixmap)
	if err := s.put(pixmap, depth, picture); err != nil {
		return err
	}
	if err := xproto.ChangeWindowAttributesChecked(s.conn, s.root, xproto.CwBackPixmap, []uint32{uint32(pixmap)}).Check(); err != nil {
		return fmt.Errorf("set the background: %w", err)
	}
	if err := xproto.ClearAreaChecked(s.conn, false, s.root, 0, 0, 0, 0).Check(); err != nil {
		return fmt.Errorf("show the background: %w", err)
	}
	return nil
}

// put sends a picture to a pixmap, in strips.
func (s *screen) put(to xproto.Pixmap, depth byte, picture *image.RGBA) error {
	gc, err := xproto.NewGcontextId(s.conn)
	if err != nil {
		return err
	}
	if err := xproto.CreateGCChecked(s.conn, gc, xproto.Drawable(to), 0, nil).Check(); err != nil {
		return fmt.Errorf("create a graphics context: %w", err)
	}
	defer xproto.FreeGC(s.conn, gc)
	width, height := picture.Rect.Dx(), picture.Rect.Dy()
	rows := max(1, putBytes/(4*width))
	for y := 0; y < height; y += rows {
		n := min(rows, height-y)
		strip := make([]byte, 0, n*width*4)
		// X servers of this depth take blue first.
		for p := picture.Pix[y*picture.Stride : (y+n)*picture.Stride]; len(p) > 0; p = p[4:] {
			strip = append(strip, p[2], p[1], p[0], 0)
		}
		err := xproto.PutImageChecked(s.conn, xproto.ImageFormatZPixmap, xproto.Drawable(to), gc, uint16(width), uint16(n), 0, int16(y), 0, depth, strip).Check()
		if err != nil {
			return fmt.Errorf("draw into a pixmap: %w", err)
		}
	}
	return nil
}

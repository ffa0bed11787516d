package main

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// pictures names the folder of the dashboard's README, whose pictures are then made anew:
// go test ./scripts/local -run Walks -args -pictures ../../shared/dashboard/pictures.
var pictures = flag.String("pictures", "", "make the pictures of the dashboard's README in this folder")

// pictured are the looks of a walk that the README shows, by the picture's name, with how much of the page.
var pictured = map[string]struct {
	name   string
	height int
}{
	"p-1280-false":        {"overview-desktop", 900},
	"p-390-true":          {"overview-phone-dark", 1100},
	"pusage-1280-true":    {"usage-desktop-dark", 900},
	"pcontrols-390-false": {"controls-phone", 1100},
}

// paletteMax is how many colours a picture has: a page of few colours needs no more.
const paletteMax = 256

// shrink makes a screenshot a small picture: its top, in its most frequent colours.
func shrink(screenshot []byte, height int) ([]byte, error) {
	whole, err := png.Decode(bytes.NewReader(screenshot))
	if err != nil {
		return nil, err
	}
	area := whole.Bounds().Intersect(image.Rect(0, 0, whole.Bounds().Dx(), height))
	counts := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA) }
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			counts[at(x, y)]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	palette := make(color.Palette, 0, paletteMax)
	for _, c := range frequent[:min(len(frequent), paletteMax)] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range frequent {
		nearest[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(area, palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	var small bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, out)
	return small.Bytes(), err
}

// keep writes a look into the folders that are asked for: whole, and as a picture of the README.
func keep(t *testing.T, shot string, screenshot []byte) {
	t.Helper()
	write := func(folder, name string, data []byte) {
		if err := os.WriteFile(filepath.Join(folder, name+".png"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if *shots != "" {
		write(*shots, shot, screenshot)
	}
	if p, ok := pictured[shot]; ok && *pictures != "" {
		small, err := shrink(screenshot, p.height)
		if err != nil {
			t.Fatal(err)
		}
		write(*pictures, p.name, small)
	}
}

// TestAPictureIsSmallAndLooksLikeThePage shrinks a page of many colours.
func TestAPictureIsSmallAndLooksLikeThePage(t *testing.T) {
	t.Parallel()
	page := image.NewRGBA(image.Rect(0, 0, 400, 900))
	for y := range 900 {
		for x := range 400 {
			c := color.RGBA{246, 247, 249, 255}
			if x < 40 && y < 40 { // 1,600 colours that are seen once
				c = color.RGBA{uint8(x * 6), uint8(y * 6), 90, 255}
			}
			page.SetRGBA(x, y, c)
		}
	}
	var screenshot bytes.Buffer
	if err := png.Encode(&screenshot, page); err != nil {
		t.Fatal(err)
	}
	small, err := shrink(screenshot.Bytes(), 500)
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(small))
	if err != nil || got.Bounds() != image.Rect(0, 0, 400, 500) || len(small) > screenshot.Len() {
		t.Fatalf("%v, %v, %d of %d bytes", err, got.Bounds(), len(small), screenshot.Len())
	}
	if c := color.RGBAModel.Convert(got.At(200, 200)); c != (color.RGBA{246, 247, 249, 255}) {
		t.Errorf("the ground is %v", c)
	}
}

"""Pictures of a page made small: PNG with a palette of 256 colours, which a page hardly has more of."""

import base64
import struct
import zlib

from playwright.async_api import Page

# A browser reads the picture and says it in the numbers of its palette: the most frequent colours that differ, and for
# each other one the nearest of them.
INDEXED = """async (png) => {
  const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const ALIKE = 48; // or shades of grey would take the place of a colour that few pixels have
  const square = (a, b, shift) => ((a >> shift & 255) - (b >> shift & 255)) ** 2;
  const away = (a, b) => square(a, b, 16) + square(a, b, 8) + square(a, b, 0);
  const pixels = new Uint32Array(width * height);
  const counts = new Map();
  for (let i = 0; i < pixels.length; i++) {
    pixels[i] = data[4 * i] << 16 | data[4 * i + 1] << 8 | data[4 * i + 2];
    counts.set(pixels[i], (counts.get(pixels[i]) ?? 0) + 1);
  }
  const colors = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([color]) => color);
  const palette = [];
  for (const color of colors) {
    if (palette.length < 256 && palette.every((other) => away(color, other) > ALIKE)) palette.push(color);
  }
  const numbers = new Map(palette.map((color, number) => [color, number]));
  for (const color of colors.filter((one) => !numbers.has(one))) {
    let nearest = 0;
    for (let i = 1; i < palette.length; i++) if (away(color, palette[i]) < away(color, palette[nearest])) nearest = i;
    numbers.set(color, nearest);
  }
  let text = '';
  for (const pixel of pixels) text += String.fromCharCode(numbers.get(pixel));
  return { width, height, palette, indices: btoa(text) };
}"""


async def with_palette(page: Page, png: bytes) -> bytes:
    """The same picture, drawn anew; `page` may be any that has no content security policy."""
    found = await page.evaluate(INDEXED, base64.b64encode(png).decode())
    width, height = found["width"], found["height"]
    indices = base64.b64decode(found["indices"])
    rows = b"".join(b"\0" + indices[at : at + width] for at in range(0, width * height, width))
    colors = b"".join(color.to_bytes(3, "big") for color in found["palette"])
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
        + _chunk(b"PLTE", colors)
        + _chunk(b"IDAT", zlib.compress(rows, 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

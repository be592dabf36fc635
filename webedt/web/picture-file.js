// A file of the reader as a picture for a prompt; one that is too large is drawn smaller.
import { MAX_PICTURE_BYTES, mediaTypeOf, smallerSize } from './picture.js';

// Returns {name, bytes, mediaType, url}: a data URL, whose tail is what the wire carries.
export async function readPicture(file) {
  const name = file.name || 'The picture';
  const mediaType = mediaTypeOf(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (mediaType === null) return { name, bytes: file.size, mediaType };
  const isStill = mediaType !== 'image/gif';
  const blob = file.size > MAX_PICTURE_BYTES && isStill ? await smaller(file).catch(() => file) : file;
  return { name, bytes: blob.size, mediaType: blob === file ? mediaType : blob.type, url: await dataUrl(new Blob([blob], { type: blob === file ? mediaType : blob.type })) };
}

async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = Object.assign(document.createElement('canvas'), smallerSize(bitmap.width, bitmap.height));
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff'; // a JPEG is nowhere transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done, fail) => { canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('no picture'))), 'image/jpeg', 0.88); });
}

function dataUrl(blob) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(blob);
  });
}

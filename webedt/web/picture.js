// Which pictures a prompt may carry, and how large all of it may be. Pure.

export const MAX_PICTURES = 20;
export const MAX_PICTURE_BYTES = 3.5 * 1024 * 1024; // 4.7 million characters of base64: models refuse more than 5
export const MAX_PROMPT_BYTES = 10 * 1024 * 1024 - 64 * 1024; // the server takes bodies of 10 MiB

const starts = (bytes, text, at = 0) => [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));

// By its first bytes: what a file is called says little. null for anything that is not accepted.
export function mediaTypeOf(bytes) {
  if (starts(bytes, '\x89PNG\r\n\x1a\n')) return 'image/png';
  if (starts(bytes, '\xff\xd8\xff')) return 'image/jpeg';
  if (starts(bytes, 'GIF87a') || starts(bytes, 'GIF89a')) return 'image/gif';
  return starts(bytes, 'RIFF') && starts(bytes, 'WEBP', 8) ? 'image/webp' : null;
}

export const base64Length = (bytes) => 4 * Math.ceil(bytes / 3);

// '' when a picture may be added to the others.
export function pictureFault({ name, bytes, mediaType }, others) {
  if (mediaType === null) return `${name} cannot be sent: pictures are PNG, JPEG, GIF or WebP.`;
  if (others.length >= MAX_PICTURES) return `At most ${MAX_PICTURES} pictures go with a prompt.`;
  if (bytes > MAX_PICTURE_BYTES) return `${name} is too large: ${megabytes(bytes)}, and at most ${megabytes(MAX_PICTURE_BYTES)} can be sent.`;
  const total = others.reduce((sum, other) => sum + base64Length(other.bytes), base64Length(bytes));
  return total > MAX_PROMPT_BYTES ? `${name} does not fit: the pictures of a prompt may have about 7 MB together.` : '';
}

// Measured before it is sent: the server would refuse it only after all of it had been uploaded.
export function promptFault(text, pictures) {
  const total = new TextEncoder().encode(JSON.stringify(text)).length + pictures.reduce((sum, { bytes }) => sum + base64Length(bytes), 0);
  return total > MAX_PROMPT_BYTES ? `This prompt is too large: ${megabytes(total)}, and at most ${megabytes(MAX_PROMPT_BYTES)} can be sent.` : '';
}

const megabytes = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;

// The size at which a picture that is too large is sent instead.
export function smallerSize(width, height, longest = 2000) {
  const factor = Math.min(1, longest / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

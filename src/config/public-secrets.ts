// Secrets that stand in public documents, so that everybody knows them.

/** Whether everybody can guess this token: the example in the settings of 0.2.0, or one repeated character. */
export function isPublicToken(token: string): boolean {
  return token === 'a-long-random-text' || new Set(token).size === 1;
}

/** The example in the settings of 0.2.0: the SHA-256 of nothing. */
const publishedKey = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';

/** Whether everybody knows this encryption key: a published one, or one repeated byte. */
export function isPublicKey(secret: Uint8Array): boolean {
  return new Set(secret).size === 1 || Buffer.from(secret).toString('base64') === publishedKey;
}

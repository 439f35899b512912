import { createCipheriv, createDecipheriv, pbkdf2Sync } from 'node:crypto';
import { decodeTerm, Tuple } from '../wire/internal.js';
import { type TokenContent } from './token.js';

/** The additional data of both formats, and the name of the older one. */
const AAD = Buffer.from('A128GCM');
const GCM_PREFIX = AAD.toString('base64url');
const XCP_PREFIX = 'XCP';
const TAG_BYTES = 16;
const GCM_IV_BYTES = 12;
const XCP_IV_BYTES = 24;

/**
 * Verifies tokens of an Elixir server (`Plug.Crypto.encrypt` of plug_crypto 1 and 2), so that its devices migrate without
 * a new login. It never issues one.
 */
export class PhoenixTokens {
  private readonly key: Buffer;

  /**
   * @param secret and `salt` of the socket of the Elixir server.
   * @param expiryMs the lifetime of our own tokens. It limits what the replacement of a Phoenix token inherits, because
   * that token may never expire.
   */
  constructor(
    { secret, salt }: { readonly secret: string; readonly salt: string },
    private readonly expiryMs: number,
  ) {
    // The defaults of Plug.Crypto.KeyGenerator.
    this.key = pbkdf2Sync(secret, salt, 1000, 32, 'sha256');
  }

  /** The contents of the token, or undefined if it is invalid or has expired. */
  verify(token: string, now = Date.now()): TokenContent | undefined {
    try {
      const content = decodeTerm(this.decrypt(token));
      if (!(content instanceof Tuple) || content.length !== 3) return undefined;
      const [deviceId, signedAtMs, maxAgeS] = content;
      if (typeof deviceId !== 'string' || typeof signedAtMs !== 'number' || typeof maxAgeS !== 'number')
        return undefined;
      if (maxAgeS <= 0 || signedAtMs + maxAgeS * 1000 < now) return undefined;
      const expiresAt = signedAtMs + Math.min(maxAgeS * 1000, this.expiryMs);
      return { deviceId, claims: undefined, generation: 0, expiresAt };
    } catch {
      return undefined;
    }
  }

  private decrypt(token: string): Uint8Array {
    const [format, ...parts] = token.split('.');
    const bytes = parts.map(decodeStrictly);
    if (format === XCP_PREFIX) return this.decryptXcp(bytes);
    if (format === GCM_PREFIX) return this.decryptGcm(bytes);
    throw new Error('not a token of Plug.Crypto');
  }

  /** plug_crypto 2: XChaCha20-Poly1305; nonce, tag and ciphertext in one part. */
  private decryptXcp([sealed, ...more]: Buffer[]): Uint8Array {
    if (!sealed || more.length > 0) throw new Error('an XCP token has one part');
    const iv = sealed.subarray(0, XCP_IV_BYTES);
    const tag = sealed.subarray(XCP_IV_BYTES, XCP_IV_BYTES + TAG_BYTES);
    const text = sealed.subarray(XCP_IV_BYTES + TAG_BYTES);
    return openXChaCha(this.key, iv, AAD, text, tag);
  }

  /** plug_crypto 1: AES-GCM with a key of its own, wrapped by AES-GCM (RFC 7518 §4.7). */
  private decryptGcm([wrapped, iv, text, tag, ...more]: Buffer[]): Uint8Array {
    if (!wrapped || !iv || !text || !tag || more.length > 0)
      throw new Error('an A128GCM token has four parts');
    const keyBytes = wrapped.length - TAG_BYTES - GCM_IV_BYTES;
    const key = openGcm(
      this.key,
      wrapped.subarray(keyBytes + TAG_BYTES),
      Buffer.alloc(0),
      wrapped.subarray(0, keyBytes),
      wrapped.subarray(keyBytes, keyBytes + TAG_BYTES),
    );
    return openGcm(key, iv, AAD, text, tag);
  }
}

/** Rejects alternative encodings: Node ignores invalid Base64 characters and bits. */
function decodeStrictly(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw new Error('not base64url');
  return bytes;
}

function openGcm(key: Buffer, iv: Buffer, aad: Buffer, text: Buffer, tag: Buffer): Buffer {
  // A shorter tag would be accepted by Node, and would be easier to forge.
  if (tag.length !== TAG_BYTES || iv.length !== GCM_IV_BYTES) throw new Error('wrong length of tag or nonce');
  const algorithm = key.length === 16 ? 'aes-128-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm';
  const decipher = createDecipheriv(algorithm, key, iv).setAAD(aad).setAuthTag(tag);
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2): ChaCha20-Poly1305 with a key per nonce, which HChaCha20 derives from
 * the first 16 bytes of the nonce.
 */
export function openXChaCha(key: Buffer, nonce: Buffer, aad: Buffer, text: Buffer, tag: Buffer): Buffer {
  // A shorter tag would be accepted by Node, and would be easier to forge.
  if (tag.length !== TAG_BYTES || nonce.length !== XCP_IV_BYTES)
    throw new Error('wrong length of tag or nonce');
  const iv = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const decipher = createDecipheriv('chacha20-poly1305', hChaCha20(key, nonce.subarray(0, 16)), iv, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(aad, { plaintextLength: text.length }).setAuthTag(tag);
  return Buffer.concat([decipher.update(text), decipher.final()]);
}

/**
 * Node has no HChaCha20, but it has ChaCha20. A block of ChaCha20 is the state after the rounds plus the state before.
 * HChaCha20 is the first and the last four words of the state after the rounds. Before the rounds those words are the
 * constants and the input, so this function subtracts them from the block.
 */
function hChaCha20(key: Buffer, input: Buffer): Buffer {
  const block = createCipheriv('chacha20', key, input).update(Buffer.alloc(64));
  const before = Buffer.concat([Buffer.from('expand 32-byte k'), input]);
  const after = Buffer.concat([block.subarray(0, 16), block.subarray(48)]);
  for (let at = 0; at < 32; at += 4) {
    after.writeUInt32LE((after.readUInt32LE(at) - before.readUInt32LE(at)) >>> 0, at);
  }
  return after;
}

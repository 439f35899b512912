import { createHmac, createSecretKey } from 'node:crypto';
import { JwtSecretRequestType, JwtService } from '@nestjs/jwt';
import { DEVICE_ID_KEY, encodeAuthHeader, TOKEN_KEY } from '../wire/index.js';
import { type Claims } from './authenticator.js';

/** A token of this time is as long as one can be: a time that ends in zeros is written without them. */
const LONGEST_TIME = Date.UTC(2100, 0, 1, 0, 0, 0, 123);

/** Keeps tokens of this module apart from other JWTs an app signs with the same secret. */
const AUDIENCE = 'fedecks';

/** What a token says. */
export interface TokenContent {
  readonly deviceId: string;
  readonly claims: Claims | undefined;
  /** When it was issued, in milliseconds since 1970. */
  readonly issuedAt: number;
}

interface Payload {
  sub: string;
  aud: string;
  /** Seconds with a fraction: a revocation must tell tokens of the same second apart. */
  iat: number;
  exp: number;
  claims?: Claims;
}

/** Issues and verifies the tokens devices reconnect with: JWT, HS256, several keys told apart by `kid`. */
export class Tokens {
  private readonly jwt: JwtService;

  /**
   * @param secrets the first signs, all verify.
   * @param expiryMs how long a token is good.
   * @param foreign reads tokens of another server, for devices that come over from it.
   */
  constructor(
    secrets: readonly string[],
    private readonly expiryMs: number,
    private readonly foreign?: { verify(token: string): TokenContent | undefined },
  ) {
    // KeyObjects: a string would be tried as PEM at each signature, at forty times the cost.
    const keys = new Map(secrets.map((secret) => [keyId(secret), createSecretKey(Buffer.from(secret))]));
    const [signing] = keys.keys();
    this.jwt = new JwtService({
      signOptions: { algorithm: 'HS256', keyid: signing ?? '' },
      verifyOptions: { algorithms: ['HS256'], audience: AUDIENCE },
      secretOrKeyProvider: (request, token) => {
        const key = keys.get(
          request === JwtSecretRequestType.SIGN ? (signing ?? '') : this.keyIdIn(token as string),
        );
        if (!key) throw new Error('the key of this token is not among the secrets');
        return key;
      },
    });
  }

  issue(deviceId: string, claims?: Claims, now = Date.now()): string {
    const payload: Payload = {
      sub: deviceId,
      aud: AUDIENCE,
      iat: now / 1000,
      exp: Math.ceil((now + this.expiryMs) / 1000),
      ...(claims && { claims }),
    };
    return this.jwt.sign(payload);
  }

  /** What the token says, or undefined if it is not one of ours, was changed, or has expired. */
  verify(token: string): TokenContent | undefined {
    try {
      const { sub, claims, iat } = this.jwt.verify<Payload>(token);
      return { deviceId: sub, claims, issuedAt: iat * 1000 };
    } catch {
      return this.foreign?.verify(token);
    }
  }

  /** Whether a device can present the token it would be issued: device id and token share a header of limited length. */
  fits(deviceId: string, claims?: Claims): boolean {
    // Without claims it always can: 125 bytes of id and its token make a header of some 700.
    if (claims === undefined) return true;
    try {
      encodeAuthHeader({
        [DEVICE_ID_KEY]: deviceId,
        [TOKEN_KEY]: this.issue(deviceId, claims, LONGEST_TIME),
      });
      return true;
    } catch {
      return false;
    }
  }

  private keyIdIn(token: string): string {
    const { header } = this.jwt.decode<{ header: { kid?: unknown } }>(token, { complete: true });
    return typeof header.kid === 'string' ? header.kid : '';
  }
}

/** Tells nothing of the secret, and is the same on every node and after every restart. */
function keyId(secret: string): string {
  return createHmac('sha256', secret).update('fedecks kid').digest('base64url').slice(0, 6);
}

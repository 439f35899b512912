// The scenes of hostile devices and unauthenticated clients, all within the server's limits or hitting them.
import { masked } from './load.mjs';
import { loginRequest, upgradeRequest } from './hostile-device.mjs';
import {
  binary,
  collidingBigIntegers,
  collidingIntegers,
  compress,
  deepKeys,
  event,
  heavyAuth,
  oneTuples,
} from './hostile-terms.mjs';

const EMPTY = Buffer.alloc(0);
const LARGE = binary(Buffer.alloc(250_000, 120));
const SMALL = masked(Buffer.from('836101', 'hex'));
const TOKEN_PLEASE = masked(Buffer.from('836b000c746f6b656e5f706c65617365', 'hex'));
const PING = masked(Buffer.alloc(125), 0x89);

function times(count, frame) {
  return Buffer.alloc(frame.length * count, frame);
}

/** 16,000 empty fragments, and the final one. */
const EMPTY_FRAGMENTS = Buffer.concat([
  masked(EMPTY, 0x02),
  times(16_000, masked(EMPTY, 0x00)),
  masked(EMPTY, 0x80),
]);

/** Devices send `once`, `flood`, or `burst` every `everyMs`; strangers send `request`, `perSecond` times. */
export const SCENES = {
  'nobody hostile': {},
  'one-tuples': { flood: masked(oneTuples()) },
  'one-tuples, compressed': { flood: times(100, masked(compress(oneTuples()))) },
  'colliding integers as keys': { flood: masked(collidingIntegers()) },
  'colliding big integers as keys': { flood: masked(collidingBigIntegers()) },
  'the same, compressed': { flood: masked(compress(collidingBigIntegers())) },
  'deep keys': { flood: times(50, masked(deepKeys())) },
  '900 messages a second': { burst: times(90, SMALL), everyMs: 100 },
  'messages as fast as TCP takes them': { flood: times(4_000, SMALL) },
  'messages to an asynchronous handler': { flood: times(1_000, masked(event('later'))) },
  '900 token requests a second': { burst: times(90, TOKEN_PLEASE), everyMs: 100 },
  'large messages': { flood: masked(Buffer.concat([Buffer.from([131]), LARGE])) },
  'empty fragments': { flood: EMPTY_FRAGMENTS },
  'pings as fast as TCP takes them': { flood: times(100, PING) },
  '900 pings a second, never reading': { burst: times(90, PING), everyMs: 100, reads: false },
  'unfinished messages, with pings': {
    once: masked(Buffer.alloc(250_000), 0x02),
    burst: masked(EMPTY, 0x89),
    everyMs: 1_000,
  },
  'large messages to a slow handler': { flood: masked(event('slow', LARGE)) },
  'the same, reconnecting': { flood: masked(event('slow', LARGE)), lastsMs: 300 },
  'endless streams': { once: masked(event('stream')) },
  'endless streams, never reading': { once: masked(event('stream')), reads: false },
  'bad logins of strangers': { request: loginRequest('stranger', 'wrong'), perSecond: 950 },
  'compressed headers of strangers': { request: upgradeRequest(heavyAuth()), perSecond: 950 },
};

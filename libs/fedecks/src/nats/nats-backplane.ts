import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { ClusterBackplane } from '../cluster/index.js';
import { type BackplaneFactory } from '../server/index.js';
import { NatsStore } from './nats-bucket.js';
import { NatsLink } from './nats-link.js';
import { type NatsBackplaneOptions, resolveNatsOptions } from './nats-options.js';

/**
 * Links the nodes of a fleet over NATS with JetStream: what `FedecksModule.forRoot` takes as `backplane`.
 * @throws {InvalidOptionsError} naming everything that is wrong with the options.
 */
export function natsBackplane(given: NatsBackplaneOptions): BackplaneFactory {
  const options = resolveNatsOptions(given);
  return (endpoint) => {
    const node = `${hostname()}-${randomBytes(6).toString('base64url')}`;
    const link = new NatsLink(options, `fedecks ${node} ${endpoint.path}`);
    return new ClusterBackplane(node, link, new NatsStore(link, options), options, endpoint);
  };
}

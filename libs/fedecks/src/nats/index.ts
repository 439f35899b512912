export { type NatsBackplaneOptions } from './nats-options.js';
export { natsBackplane } from './nats-backplane.js';

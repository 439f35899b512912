export {
  type Bucket,
  type BucketState,
  type Entries,
  type Kept,
  type Scanned,
  type Store,
  type Watcher,
} from './bucket.js';
export { ClusterBackplane } from './cluster-backplane.js';
export { type ClusterOptions } from './cluster-options.js';
export { type Link, type LinkEvents, type Message, messageOf, timeout, unavailable } from './link.js';

/** What the nodes of a fleet agree on, whatever links them. */
export interface ClusterOptions {
  /** What subjects and buckets begin with. */
  readonly namespace: string;
  /** How long, in milliseconds, another node or a server may take to answer. */
  readonly requestTimeoutMs: number;
  /** How often, in milliseconds, a node says that it lives. */
  readonly heartbeatMs: number;
  /** How long, in milliseconds, is kept when and why a device left. */
  readonly presenceRetentionMs: number;
  /** How many questions to other nodes may wait for their answers. */
  readonly maxPending: number;
  /** How many bytes of them. */
  readonly maxPendingBytes: number;
}

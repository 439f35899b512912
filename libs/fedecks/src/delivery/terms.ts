/** The number of lanes in each direction: 0 to 7. */
export const LANES = 8;

export function isLane(lane: number): boolean {
  return Number.isInteger(lane) && lane >= 0 && lane < LANES;
}

/**
 * Identifies a message of a lane. Sequence numbers only rise. The epoch names the process that put the message in: two
 * copies of a store, or a store that lost its tail, may give one sequence number to two messages, but in two epochs.
 */
export interface Position {
  /** At most 32 characters. */
  readonly epoch: string;
  /** From 1. */
  readonly seq: number;
}

/** The last message that the receiver has handled in a lane. */
export interface HandledPosition extends Position {
  /** 0 to 7. */
  readonly lane: number;
}

/** Close the connection with 1002: the peer sent a control message that cannot be right. */
export interface CloseEffect {
  readonly do: 'close';
  readonly connection: number;
  readonly code: 1002;
  readonly reason: string;
}

export function violation(connection: number, reason: string): CloseEffect {
  return { do: 'close', connection, code: 1002, reason };
}

/** For how many days each kind is kept. */
export const RETENTION_DAYS = {
  readings: 2,
  readings_by_minute: 30,
  readings_by_hour: 730,
  messages: 3,
  connections: 90,
  audit: 365,
  /** After they have expired. */
  claims: 30,
  /** None waits for longer than 30 days: a crash left it. */
  delivery_messages: 31,
  /** After they were seen last. */
  nodes: 1,
} as const;

/** How many messages, and how many connections, are kept of each device. */
export const MAX_OF_EACH_DEVICE = 1_000;

/**
 * Readings that are older than this number of hours when they are written go into the summaries at once: those of their
 * minute may be deleted before the summaries are made. Two hours less than `RETENTION_DAYS.readings`.
 */
export const OLD_READING_HOURS = 46;

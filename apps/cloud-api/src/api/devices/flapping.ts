import { type Database } from '../../database/database.js';

/** How far back, in milliseconds, connections are counted. */
export const FLAPPING_WINDOW_MS = 10 * 60_000;
/** So many connections in that time are too many. */
export const FLAPPING_CONNECTIONS = 5;

/** The devices that connect again and again, each with the number of its connections in the window: a subquery. */
export function flappingDevices(database: Database) {
  return database
    .selectFrom('connections')
    .select(['device_id', ({ fn }) => fn.countAll<number>().as('connects')])
    .where('came_at', '>', new Date(Date.now() - FLAPPING_WINDOW_MS))
    .groupBy('device_id')
    .having(({ fn }) => fn.countAll(), '>=', FLAPPING_CONNECTIONS);
}

/** Which devices, as the API takes it: in a query, and to select those that something is done to. */
export interface Filter {
  readonly search?: string;
  readonly state?: string;
  readonly version?: string;
  readonly tag?: readonly string[];
  readonly lastSeenBefore?: string;
  readonly lastSeenAfter?: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** When a device was seen last, relative to now: so a bookmark means the same tomorrow. */
const LAST_SEEN: Readonly<Record<string, readonly [field: 'lastSeenBefore' | 'lastSeenAfter', ms: number]>> =
  {
    'within-hour': ['lastSeenAfter', HOUR_MS],
    'within-day': ['lastSeenAfter', DAY_MS],
    'not-hour': ['lastSeenBefore', HOUR_MS],
    'not-day': ['lastSeenBefore', DAY_MS],
    'not-week': ['lastSeenBefore', 7 * DAY_MS],
    'not-month': ['lastSeenBefore', 30 * DAY_MS],
  };

export const LAST_SEEN_OPTIONS = [
  ['', 'Whenever'],
  ['within-hour', 'In the last hour'],
  ['within-day', 'In the last day'],
  ['not-hour', 'Not for an hour'],
  ['not-day', 'Not for a day'],
  ['not-week', 'Not for a week'],
  ['not-month', 'Not for 30 days'],
] as const;

/** The filter in the address of the page, as it is now: times are relative to that. */
export function filterIn(parameters: URLSearchParams): Filter {
  const [field, ms = 0] = LAST_SEEN[parameters.get('lastSeen') ?? ''] ?? [];
  const tag = parameters.getAll('tag');
  return {
    ...given('search'),
    ...given('state'),
    ...given('version'),
    ...(tag.length > 0 && { tag }),
    ...(field && { [field]: new Date(Date.now() - ms).toISOString() }),
  };

  function given(name: 'search' | 'state' | 'version'): Partial<Record<typeof name, string>> {
    const value = parameters.get(name);
    return value === null || value === '' ? {} : { [name]: value };
  }
}

import { type Role } from '../database/tables.js';

export { type Role } from '../database/tables.js';

/** Who makes a request. */
export interface Actor {
  /** `environment`: the key in the variable `API_KEY`. */
  readonly kind: 'operator' | 'api_key' | 'environment';
  /** The id of the operator or the API key; undefined for the one of the environment. */
  readonly id?: string;
  /** As the audit shows it. */
  readonly name: string;
  readonly role: Role;
}

/** From the least to the most: each may do what those before may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const satisfies readonly Role[];

/** Whether a role may do what `required` may. */
export function mayDo(role: Role, required: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(required);
}

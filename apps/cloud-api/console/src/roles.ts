import { me, type Role } from './api.js';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];

/** Whether who is logged in may do what a role may. The cloud checks it, too: this only hides what would be refused. */
export function mayDo(role: Role): boolean {
  return me.value ? ROLES.indexOf(me.value.role) >= ROLES.indexOf(role) : false;
}

import { Reflector } from '@nestjs/core';
import { type Role } from './actor.js';

/**
 * Who may use a route: this role and those above it; `anyone`: without logging in. {@link AccessGuard} refuses everybody at a
 * route that does not say.
 */
export const Requires = Reflector.createDecorator<Role | 'anyone'>();

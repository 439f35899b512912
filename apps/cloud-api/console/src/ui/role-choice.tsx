import { type Role } from '../api.js';
import { Choice } from './fields.js';

const ROLES = [
  ['viewer', 'viewer: sees'],
  ['operator', 'operator: sends and enrols'],
  ['admin', 'admin: everything'],
] as const;

interface Props {
  readonly label: string;
  readonly isLabelHidden?: boolean;
  readonly name?: string;
  readonly value?: Role;
  readonly onChange?: (role: Role) => void;
}

/** A role, and what it may do. */
export function RoleChoice({ onChange, ...props }: Props) {
  return <Choice options={ROLES} onChange={(role) => onChange?.(role as Role)} {...props} />;
}

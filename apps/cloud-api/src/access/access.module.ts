import { Global, Module } from '@nestjs/common';
import { ActorCache } from './actor-cache.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeys } from './api-keys.js';
import { AuditController } from './audit.controller.js';
import { AuditLimits } from './audit-limits.js';
import { Audit } from './audit.js';
import { Authenticator } from './authenticator.js';
import { OperatorLogin } from './operator-login.js';
import { OperatorsController } from './operators.controller.js';
import { Operators } from './operators.js';
import { SessionController } from './session.controller.js';
import { Sessions } from './sessions.js';
import { SetupLinks } from './setup-links.js';
import { SetupController } from './setup.controller.js';

/** Who may do what, and who did. */
@Global()
@Module({
  controllers: [SessionController, SetupController, OperatorsController, ApiKeysController, AuditController],
  providers: [
    ActorCache,
    ApiKeys,
    Audit,
    AuditLimits,
    Authenticator,
    OperatorLogin,
    Operators,
    Sessions,
    SetupLinks,
  ],
  exports: [Audit, AuditLimits, Authenticator],
})
export class AccessModule {}

import { type DynamicModule, Module } from '@nestjs/common';
import { Fedecks } from '@fedecks/nest';
import { DatabaseLink } from '../database/database-link.js';
import { DeviceLogin } from '../devices/device-login.js';
import { LoginsFile } from '../devices/logins-file.js';
import { ClaimConfirmation } from './claim-confirmation.js';
import { Claims } from './claims.js';
import { ClaimsController } from './claims.controller.js';
import { DeviceAccessController } from './device-access.controller.js';
import { DeviceAccounts } from './device-accounts.js';
import { DeviceBlocks } from './device-blocks.js';
import { LookupDeadline } from './lookup-deadline.js';

/** How devices get in for the first time, by a claim or a password, and how they are kept out. */
@Module({})
export class EnrolmentModule {
  /** @param loginsFile undefined: there is none. */
  static with(loginsFile: string | undefined): DynamicModule {
    return {
      module: EnrolmentModule,
      global: true,
      controllers: [ClaimsController, DeviceAccessController],
      providers: [
        { provide: LoginsFile, useValue: new LoginsFile(loginsFile) },
        {
          provide: ClaimConfirmation,
          inject: [Claims, Fedecks],
          useFactory: (claims: Claims, fedecks: Fedecks) => new ClaimConfirmation(claims, fedecks),
        },
        {
          provide: LookupDeadline,
          inject: [DatabaseLink],
          useFactory: (link: DatabaseLink) => new LookupDeadline(link),
        },
        {
          provide: DeviceBlocks,
          inject: [DeviceAccounts, Fedecks],
          useFactory: (accounts: DeviceAccounts, fedecks: Fedecks) => new DeviceBlocks(accounts, fedecks),
        },
        Claims,
        DeviceAccounts,
        DeviceLogin,
      ],
      exports: [DeviceBlocks],
    };
  }
}

import { Subject } from 'rxjs';
import { ClaimConfirmation } from '../enrolment/claim-confirmation.js';
import { Claims } from '../enrolment/claims.js';
import { DeviceAccounts } from '../enrolment/device-accounts.js';
import { DeviceBlocks } from '../enrolment/device-blocks.js';
import { LookupDeadline } from '../enrolment/lookup-deadline.js';
import { type Database } from '../database/database.js';
import { openDatabase } from '../database/open-database.js';
import { type Fedecks } from '@fedecks/nest';
import { CloudMetrics } from '../operations/cloud-metrics.js';
import { LoginMetrics } from '../operations/login-metrics.js';
import { TestDatabase } from '../../test/support/test-database.js';
import { DeviceLogin } from './device-login.js';
import { LoginsFile } from './logins-file.js';

const CREDENTIALS = { claim: '0000-0000-0000-0000' };

describe('DeviceLogin', () => {
  let test: TestDatabase;
  let database: Database;
  let login: DeviceLogin;
  /** Statements that the database was sent. */
  let statements: number;

  beforeEach(async () => {
    test = await TestDatabase.create();
    statements = 0;
    const opened = openDatabase(test.config);
    database = opened.withPlugin({
      transformQuery: ({ node }) => {
        statements++;
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    const fedecks = { connections$: new Subject() } as unknown as Fedecks;
    const accounts = new DeviceAccounts(database);
    const claims = new Claims(database);
    login = new DeviceLogin(
      new LoginsFile(undefined),
      accounts,
      new DeviceBlocks(accounts, fedecks),
      claims,
      new ClaimConfirmation(claims, fedecks),
      new LookupDeadline({ isReady: true }),
      new LoginMetrics(new CloudMetrics()),
    );
  });
  afterEach(async () => {
    await database.destroy();
    await test.close();
  });

  it('asks the database for at most 60 of 10,000 wrong claims from one address', async () => {
    const { signal } = new AbortController();
    let refused = 0;
    for (let guess = 0; guess < 10_000; guess++) {
      const device = { id: `guess-${guess}`, remoteAddress: '192.0.2.1', signal };
      await login.authenticate(CREDENTIALS, device).then(
        (result) => expect(result).toBe(false),
        () => refused++,
      );
    }
    // Two minutes' worth, in case a minute ends meanwhile.
    expect(refused).toBeGreaterThanOrEqual(10_000 - 120);
    // For each: whether the device is blocked, and the claim.
    expect(statements).toBeLessThanOrEqual(2 * (10_000 - refused));
    expect(statements).toBeGreaterThan(0);
  });
});

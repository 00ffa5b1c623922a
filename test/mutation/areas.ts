/** Some files, and the tests that must notice a change to them. */
export interface Part {
  readonly mutate: string;
  readonly except?: string;
  /** Tests that run this code in their own process; a child process would run the program as it is. */
  readonly tests: readonly string[];
}

/** Functions that need no database. */
const plain = 'src/services/intake/{check-fields,read-value,suspicions,post-memory,statement/store-rows}.ts';

const [ahead, attempt, loop, pause] = [
  'src/services/delivery/{claimed-ahead,lanes,new-mail-signal}.ts',
  'src/services/delivery/{attempt,clear-unsent,renew-lease,return-unsent,settle-queue}.ts',
  'src/services/delivery/{worker,delivery-loop}.ts',
  'src/services/delivery/pause/*.ts',
];

export const areas: Readonly<Record<string, readonly Part[]>> = {
  privacy: [{ mutate: 'src/privacy/**/*.ts', tests: ['test/unit/privacy.test.ts'] }],
  classify: [{ mutate: 'src/mail/smtp/classify.ts', tests: ['test/unit/classify.test.ts'] }],
  intake: [
    { mutate: plain, tests: ['test/unit/check-fields.test.ts', 'test/unit/store-rows.test.ts'] },
    {
      mutate: 'src/services/intake/**/*.ts',
      except: plain,
      tests: ['test/database/submit.test.ts', 'test/database/store.test.ts', 'test/http/batches.test.ts'],
    },
  ],
  delivery: [
    { mutate: ahead, tests: ['test/delivery/lanes.test.ts'] },
    { mutate: attempt, tests: ['test/delivery/one-attempt.test.ts'] },
    { mutate: loop, tests: ['test/delivery/worker-states.test.ts'] },
    { mutate: pause, tests: ['test/delivery/pause.test.ts'] },
    {
      mutate: 'src/services/delivery/**/*.ts',
      except: `{${ahead},${attempt},${loop},${pause}}`,
      tests: ['test/unit/retry-schedule.test.ts', 'test/delivery/claim.test.ts'],
    },
  ],
};

import { declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import Mocha from 'mocha';

/** What Stryker's instrumented code reads and writes. */
interface Instrumented {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: { static: Counts; perTest: Record<string, Counts> };
}

/** A mutant that makes a test wait is noticed by this; the slowest test takes half of it. Stryker's own limit grows with all tests. */
const maxTestMs = 8_000;

/** The environment variable with the test files: with Stryker's own option for them, it activates static mutants too late. */
export const testFiles = 'RUFFINWEB_MUTATION_TESTS';

/** A test may stop the clock. */
const now = performance.now.bind(performance);

type Counts = Record<string, number>;

const instrumented: Instrumented = {};
Object.assign(globalThis, { __stryker__: instrumented });

/**
 * Runs test files with mocha, for Stryker. Its own runner does not know mocha 12, and counts what a `before` hook starts
 * for the test that ran before it.
 */
class MochaRunner implements TestRunner {
  static readonly inject = tokens();
  readonly #mocha: Mocha;
  #isLoaded = false;
  #tests: TestResult[] = [];

  constructor() {
    this.#mocha = new Mocha({ timeout: maxTestMs, reporter: this.#reporter() }).cleanReferencesAfterRun(false);
    for (const file of process.env[testFiles]?.split(' ') ?? []) this.#mocha.addFile(file);
  }

  /** Node loads a module once: Stryker starts another process. */
  capabilities() {
    return { reloadEnvironment: false };
  }

  async dryRun({ disableBail }: DryRunOptions): Promise<DryRunResult> {
    const result = await this.#run(disableBail);
    const coverage = instrumented.mutantCoverage;
    if (result.status !== DryRunStatus.Complete || coverage === undefined) return result;
    return { ...result, mutantCoverage: { ...coverage, perTest: spread(coverage.perTest, result.tests) } };
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { activeMutant, mutantActivation, testFilter, hitLimit, disableBail } = options;
    instrumented.hitLimit = hitLimit;
    instrumented.hitCount = hitLimit === undefined ? undefined : 0;
    const wanted = testFilter?.map((it) => `^${it.replaceAll(/[^\w\s]/g, '\\$&')}$`).join('|') ?? '';
    this.#mocha.grep(new RegExp(wanted));
    if (mutantActivation === 'static') instrumented.activeMutant = activeMutant.id;
    return toMutantRunResult(await this.#run(disableBail, activeMutant.id));
  }

  async #run(disableBail: boolean, mutant?: string): Promise<DryRunResult> {
    try {
      if (!this.#isLoaded) await this.#mocha.loadFilesAsync();
      this.#isLoaded = true;
      bail(this.#mocha.suite, !disableBail);
      instrumented.activeMutant = mutant;
      this.#tests = [];
      await new Promise((resolve) => this.#mocha.run(resolve));
      const tests = this.#tests;
      return (
        determineHitLimitReached(instrumented.hitCount, instrumented.hitLimit) ?? {
          status: DryRunStatus.Complete,
          tests,
        }
      );
    } catch (error) {
      return { status: DryRunStatus.Error, errorMessage: String((error as Error).stack) };
    }
  }

  #reporter() {
    const add = (test: TestResult) => this.#tests.push(test);
    return class extends Mocha.reporters.Base {
      constructor(runner: Mocha.Runner) {
        super(runner);
        let since = now();
        const resultOf = (id: string) => ({ id, name: id, timeSpentMs: Math.round(now() - since) });
        runner.on('suite', (suite) => {
          instrumented.currentTestId = hooksOf(suite);
        });
        runner.on('test', (test) => {
          instrumented.currentTestId = test.fullTitle();
        });
        runner.on('suite end', (suite) => {
          instrumented.currentTestId = hooksOf(suite.parent);
        });
        runner.on('pass', (test) => {
          add({ ...resultOf(test.fullTitle()), status: TestStatus.Success, ...(test.file && { fileName: test.file }) });
          since = now();
        });
        runner.on('fail', (test, error: Error) => {
          const { id, ...result } = resultOf(test.ctx?.currentTest?.fullTitle() ?? test.fullTitle());
          add({ id, ...result, status: TestStatus.Failed, failureMessage: error.stack || error.message || 'failed' });
        });
      }
    };
  }
}

function bail(suite: Mocha.Suite, isWanted: boolean): void {
  suite.bail(isWanted);
  for (const child of suite.suites) bail(child, isWanted);
}

const hooksPrefix = 'hooks of ';

function hooksOf(suite: Mocha.Suite | undefined): string {
  return hooksPrefix + (suite?.fullTitle() ?? '');
}

/** What the hooks of a suite cover, each of its tests covers. */
function spread(perTest: Record<string, Counts>, tests: readonly TestResult[]): Record<string, Counts> {
  const all: Record<string, Counts> = Object.fromEntries(tests.map(({ id }) => [id, { ...perTest[id] }]));
  for (const [key, counts] of Object.entries(perTest)) {
    if (!key.startsWith(hooksPrefix)) continue;
    const suite = key.slice(hooksPrefix.length);
    for (const [id, own] of Object.entries(all)) {
      if (!id.startsWith(suite)) continue;
      for (const [mutant, count] of Object.entries(counts)) own[mutant] = (own[mutant] ?? 0) + count;
    }
  }
  return all;
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'mocha', MochaRunner)];

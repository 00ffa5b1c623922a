import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

/**
 * Bundles the program into `folder`: `main.js`, and a piece for everything that is imported only when it is needed.
 * All pieces lie in one folder two levels below the package, as `src/cli/` does, since they look for their files from
 * where they lie themselves.
 *
 * @returns the files that went into it, by their paths from the root.
 */
export async function bundleProgram(root: string, folder: string): Promise<Metafile['inputs']> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts'],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Node 24 has `using`. What esbuild makes of it keeps an error of one round of a loop for the next.
    supported: { using: true },
    // Errors and entities are known by the names of their classes.
    keepNames: true,
    // Names stay as they are, for stack traces; without the blanks there is a third less to read at every start.
    minifyWhitespace: true,
    lineLimit: 120,
    // Libraries written as CommonJS ask for Node's own modules by `require`: all others are in the bundle.
    banner: { js: 'const require = process.getBuiltinModule;' },
    plugins: [gathered(root), lazyLoads, frugalBuiltins(root)],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile.inputs;
}

/**
 * Commands import each service by itself, when they need it. In a bundle split along those lines a command would look up
 * and load some forty files, most of a few lines, and that takes longer than all that stands in them: so for them all
 * services lie together.
 */
const gathered = (root: string): Plugin => ({
  name: 'gathered',
  setup(builder) {
    const services = readdirSync(join(root, 'src/services'), { recursive: true, encoding: 'utf8' })
      .filter((it) => it.endsWith('.ts'))
      .map((it) => `src/services/${it}`);
    const files = [...services, 'src/context.ts', 'src/database/migrate.ts'];
    builder.onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) =>
      kind === 'dynamic-import' && files.includes(relative(root, join(resolveDir, path)))
        ? { path: 'services', namespace: 'gathered' }
        : undefined,
    );
    builder.onLoad({ filter: /^/, namespace: 'gathered' }, () => {
      const names = files.flatMap((file) => exportedNames(readFileSync(join(root, file), 'utf8')));
      const twice = names.find((name, index) => names.indexOf(name) !== index);
      if (twice !== undefined) throw new Error(`two services export ${twice}, and in the bundle they lie together`);
      return { contents: files.map((file) => `export * from './${file}';`).join('\n'), resolveDir: root };
    });
  },
});

function exportedNames(source: string): string[] {
  return [...source.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(([, name = '']) => name);
}

const declaration = 'const load = createRequire(import.meta.url);\n';

/**
 * Our sources load a package that is seldom needed by `load('name')`, which a bundler does not see: in the bundle it
 * is a `require`, which it does see and still runs only when it is reached.
 */
const lazyLoads: Plugin = {
  name: 'lazy loads',
  setup(builder) {
    builder.onLoad({ filter: /\/src\/.*\.ts$/, namespace: 'file' }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      if (!source.includes('createRequire(')) return undefined;
      if (!source.includes(declaration)) throw new Error(`${path}: write it as "${declaration.trim()}"`);
      return {
        contents: source.replace(declaration, '').replaceAll(/\bload\((?=')/g, 'require('),
        loader: 'ts',
      };
    });
  },
};

/**
 * An ESM import of one of Node's modules looks at all its names, and that loads what Node itself keeps for later: behind
 * `node:util` are worker threads, behind `node:fs` the promises and readline. It is a third of the time of a page of
 * help, so each file of the bundle asks for the names that it uses. And commander asks for `child_process`, with all of
 * Node's network code behind it, for commands that are programs of their own: we have none.
 */
const frugalBuiltins = (root: string): Plugin => ({
  name: 'frugal builtins',
  setup(builder) {
    builder.onResolve({ filter: /^[a-z_:/]+$/ }, ({ path, importer, kind }) =>
      kind === 'import-statement' && isBuiltin(path)
        ? {
            path: `${path.replace('node:', '')} for ${relative(root, importer)}`,
            namespace: 'builtin',
            sideEffects: false,
          }
        : undefined,
    );
    builder.onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => {
      const [name = '', , importer = ''] = path.split(' ');
      const get = `process.getBuiltinModule(${JSON.stringify(name)})`;
      if (name === 'child_process' && importer.includes('node_modules/commander/'))
        return { contents: `export default new Proxy({}, { get: (_, name) => ${get}[name] });` };
      const found: Record<string, unknown> = { ...process.getBuiltinModule(name) };
      const names = Object.keys(found).filter((it) => it !== 'default');
      // The functions of these are no classes and need no `this`, so the module can wait until one of them is called.
      const waits = (it: string) => name.endsWith('/promises') && /^[a-z]/.test(it) && typeof found[it] === 'function';
      const exported = names.map((it, index) => {
        const value = waits(it) ? `(...given) => ${get}.${it}(...given)` : `/* @__PURE__ */ (() => it.${it})()`;
        return `const _${index} = ${value}; export { _${index} as ${it} };`;
      });
      // What nobody imports of it is left out of the bundle.
      return { contents: [`const it = /* @__PURE__ */ ${get};`, 'export default it;', ...exported].join('\n') };
    });
  },
});

import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';

/**
 * Bundles the program into `folder`: `main.js`, and a chunk for everything that is imported on demand. All chunks are in
 * one folder two levels below the package, like `src/cli/`, because they find their files by relative paths.
 *
 * @returns the bundled files, by their paths from the root.
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
    // Node 24 has `using`. esbuild's translation of it keeps an error from one round of a loop for the next.
    supported: { using: true },
    // The program uses the class names of errors and entities.
    keepNames: true,
    // Keeps names, for stack traces. Without whitespace, a start reads a third less.
    minifyWhitespace: true,
    lineLimit: 120,
    // CommonJS libraries load Node's own modules by `require`. Everything else is in the bundle.
    banner: { js: 'const require = process.getBuiltinModule;' },
    plugins: [gathered(root), lazyLoads, frugalBuiltins(root)],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile.inputs;
}

/**
 * Commands import each service on demand. With a chunk for each of them, a command would load some forty files, most of a
 * few lines, which takes longer than one file with all services. So they share a chunk.
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
      if (twice !== undefined) throw new Error(`two services export ${twice}, but they share a chunk: rename one`);
      return { contents: files.map((file) => `export * from './${file}';`).join('\n'), resolveDir: root };
    });
  },
});

function exportedNames(source: string): string[] {
  return [...source.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(([, name = '']) => name);
}

const declaration = 'const load = createRequire(import.meta.url);\n';

/**
 * Our sources load rarely needed packages by `load('name')`, which a bundler does not recognise. Here it becomes
 * `require('name')`, which is bundled and still runs only when it is reached.
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
 * An ESM import of one of Node's modules reads all its exports, and so loads what Node would load on demand: `node:util`
 * loads worker threads, `node:fs` its promises and readline. That is a third of the time of `--help`, so each file of the
 * bundle reads only the exports that it uses. Commander imports `child_process`, and with it Node's network code, for
 * commands that are separate programs; we have none.
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
      // These functions are not classes and need no `this`, so the module is loaded when one is called.
      const isLazy = (it: string) => name.endsWith('/promises') && /^[a-z]/.test(it) && typeof found[it] === 'function';
      const exported = names.map((it, index) => {
        const value = isLazy(it) ? `(...given) => ${get}.${it}(...given)` : `/* @__PURE__ */ (() => it.${it})()`;
        return `const _${index} = ${value}; export { _${index} as ${it} };`;
      });
      // The bundler removes exports that nobody imports.
      return { contents: [`const it = /* @__PURE__ */ ${get};`, 'export default it;', ...exported].join('\n') };
    });
  },
});

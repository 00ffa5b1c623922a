import { readFileSync } from 'node:fs';
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
    // Errors and entities are known by the names of their classes.
    keepNames: true,
    // Libraries written as CommonJS ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
    },
    plugins: [lazyLoads],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile.inputs;
}

const declaration = 'const load = createRequire(import.meta.url);\n';

/**
 * Our sources load a package that is seldom needed by `load('name')`, which a bundler does not see: in the bundle it
 * is a `require`, which it does see and still runs only when it is reached.
 */
const lazyLoads: Plugin = {
  name: 'lazy loads',
  setup(builder) {
    builder.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
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

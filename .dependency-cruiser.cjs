// The direction of imports, as docs/architecture.md tells it:
// the command asks, the service translates, the manager decides, a backend answers.
/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: "lock-imports-nothing",
      comment: "The domain stands alone: what it needs from outside is passed in.",
      severity: "error",
      from: { path: "^src/lock/" },
      to: { pathNot: "^src/lock/" },
    },
    {
      name: "holder-and-daemon-never-see-each-other",
      comment: "They may be two processes, and one of them somebody else's program.",
      severity: "error",
      from: { path: "^src/lock/(holder|daemon)/" },
      to: { path: "^src/lock/(holder|daemon)/", pathNot: "^src/lock/$1/" },
    },
    {
      name: "config-only-lock",
      severity: "error",
      from: { path: "^src/config/" },
      to: { path: "^(src|cmd|test)/", pathNot: "^src/(config|lock)/" },
    },
    {
      name: "backends-only-lock",
      severity: "error",
      from: { path: "^src/backends/" },
      to: { path: "^(src|cmd|test)/", pathNot: "^src/(backends|lock)/" },
    },
    {
      name: "backends-never-see-each-other",
      severity: "error",
      from: { path: "^src/backends/([^/]+)/" },
      to: { path: "^src/backends/[^/]+/", pathNot: "^src/backends/$1/" },
    },
    {
      name: "rpc-only-lock-and-gen",
      severity: "error",
      from: { path: "^src/rpc/" },
      to: { path: "^(src|cmd|test)/", pathNot: "^src/(rpc|lock|gen)/" },
    },
    {
      name: "gen-only-for-rpc",
      severity: "error",
      from: { path: "^(src|cmd)/", pathNot: "^src/(rpc|gen)/" },
      to: { path: "^src/gen/" },
    },
    {
      name: "open-is-the-composition-root",
      severity: "error",
      from: { path: "^src/(open|system-clock)\\.ts$" },
      to: { path: "^(src|cmd|test)/", pathNot: "^src/(config|backends|lock|system-clock\\.ts)" },
    },
    {
      name: "nobody-imports-commands-or-tests",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(cmd|test|bench)/" },
    },
    {
      name: "drivers-live-in-one-place",
      comment: "A driver's name appears in its backend's folder alone.",
      severity: "error",
      from: { path: "^(src|cmd)/", pathNot: "^src/backends/" },
      to: { path: "node_modules/(@photostructure/sqlite|etcd3|ioredis|pg|@aws-sdk)/" },
    },
    {
      name: "transport-libraries-live-in-rpc",
      severity: "error",
      from: { path: "^(src|cmd)/", pathNot: "^src/(rpc|gen)/" },
      to: { path: "node_modules/(@grpc|@connectrpc|@bufbuild|grpc-health-check)/" },
    },
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-dev-dependency-in-the-product",
      severity: "error",
      from: { path: "^(src|cmd)/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
    },
  },
};

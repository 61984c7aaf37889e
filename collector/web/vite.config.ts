import { defineConfig } from "vitest/config";

// Relative addresses: the page also works under a path of a reverse proxy.
export default defineConfig({
  base: "./",
  build: { target: "es2022", modulePreload: false, assetsInlineLimit: 0 },
  server: { proxy: { "/api": "http://127.0.0.1:8083" } },
  // Tests read the colours.
  test: { css: true },
});

// A client of rdev in TypeScript: it runs a command and follows it to its end.
// The test compiles it against what openapi-typescript makes of openapi.yaml, and
// runs it against a server. The lines after @ts-expect-error must not compile.
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./api.js";

declare const process: { argv: string[]; exit(code: number): never };
declare const console: { log(line: string): void };

type Schemas = components["schemas"];

const [server, key] = process.argv.slice(2) as [string, string];
const headers = { Authorization: `Bearer ${key}` };
// Where an answer may be JSON or a stream, the client says which one it asks for.
const client = createClient<paths, "application/json">({ baseUrl: server, headers });
const streams = createClient<paths, "text/event-stream">({ baseUrl: server, headers });

// The codes of failures are a closed set, which a program can tell apart.
function mayComeBack(code: Schemas["Code"]): boolean {
	switch (code) {
		case "RATE_LIMITED":
		case "UNAVAILABLE":
			return true;
		default:
			return false;
	}
}

async function run(argv: string[]): Promise<Schemas["Command"]> {
	const { data, error } = await client.POST("/projects/{project}/shell", {
		params: { path: { project: "web" } },
		body: { argv, timeout: "30s" },
	});
	if (error) {
		throw new Error(`${error.error.code}: ${error.error.message} (again: ${mayComeBack(error.error.code)})`);
	}
	return data.data;
}

// Events are read from the body; their types are in the description, too.
async function follow(command: Schemas["Command"]): Promise<Schemas["CompleteEvent"]> {
	const query: operations["readEvents"]["parameters"]["query"] = { stream_id: command.stream_id };
	const { data, error } = await streams.GET("/projects/{project}/events", {
		params: { path: { project: command.project }, query },
		parseAs: "text",
	});
	if (error || data === undefined) {
		throw new Error("no events");
	}
	for (const frame of data.split("\n\n")) {
		const fields = new Map(frame.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
		const text = fields.get("data") ?? "";
		switch (fields.get("event")) {
			case "output": {
				const output: Schemas["OutputEvent"] = JSON.parse(text);
				console.log(`${output.stream}: ${output.line}`);
				break;
			}
			case "complete":
				return JSON.parse(text);
			case "error": {
				const failure: Schemas["ErrorEvent"] = JSON.parse(text);
				throw new Error(failure.code);
			}
		}
	}
	throw new Error("the stream has no end");
}

const end = await follow(await run(["echo", "hi"]));
console.log(`${end.state} ${end.exit_code}`);

const refused = await client.GET("/projects/{project}", { params: { path: { project: "other" } } });
if (refused.error) {
	console.log(refused.error.error.code);
}

// What the API does not have, or wants otherwise, is an error of the compiler.
export async function wrong(): Promise<void> {
	// @ts-expect-error there is no such route
	await client.GET("/project");
	// @ts-expect-error the project is missing
	await client.GET("/projects/{project}");
	// @ts-expect-error argv is a list of words
	await client.POST("/projects/{project}/shell", { params: { path: { project: "web" } }, body: { argv: "ls" } });
	// @ts-expect-error args is missing
	await client.POST("/projects/{project}/git", { params: { path: { project: "web" } }, body: { timeout: 3 } });
	// @ts-expect-error there is no such state
	const state: Schemas["State"] = "done";
	// @ts-expect-error there is no such code
	mayComeBack("NOT_A_CODE");
	// @ts-expect-error a command may have no result yet
	console.log(`${(await run([])).result.exit_code}${state}`);
}

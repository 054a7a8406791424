"""The demo upstream: an AI API on this machine, without a model, that speaks three protocols.

Owns: its HTTP answers (`POST` on any path that ends in `/chat/completions`, `/responses` or `/messages`, the last in
Anthropic's form; `GET /v1/models`, `GET /healthz`), the tokenizer and the texts behind them, and its own record of what
it answered. Does not own: anything of the gateway; it shares no protocol code with it, so that each can judge the
other.

Invariants: an answer's texts depend on the request's messages alone; the tokens it reports are counted, by the rule
of `tokenizer`, on the text it sends; no caller holds a whole answer that the call log does not call completed. The
first files to read are `reply` and `answering`; `speaking_*` are the protocols.

A request may carry directions, so that tests, replays and benches get the answer they need:

| header | value | effect |
| --- | --- | --- |
| `x-demo-prompt-tokens` | 0 to 10,000,000 | replay: reported as the prompt's tokens instead of the count |
| `x-demo-completion-tokens` | 0 to 100,000 | replay: each choice gets so many tokens, within `max_tokens` |
| `x-demo-first-token-ms` | 0 to 600,000 | wait before the first chunk, the JSON body or the error |
| `x-demo-token-ms` | 0 to 600,000 | wait before every further chunk |
| `x-demo-fail-status` | 400 to 599 | answer with this status and the protocol's error shape |
| `x-demo-break-after` | 0 to 10,000,000 | close the connection after so many chunks; a JSON body in its middle |
| `x-demo-fail-after` | 0 to 10,000,000 | end the stream after so many chunks with the protocol's error event |
| `x-demo-omit-usage` | `true`, `false` | no usage anywhere, even where the request asks for it |
| `x-demo-usage` | a JSON object | reported word for word as `usage` |

Of messages, `x-demo-usage` is the usage of the JSON answer and of the stream's `message_delta`.

A chunk is an event of a stream other than its last one (`[DONE]`, the whole response, `message_stop`); a content chunk
carries one token, or 16 where the second header is set.
Any other value is refused with a 400 that names the header. `x-request-id` is taken over into the answer's headers and
the call log.
"""

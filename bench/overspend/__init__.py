"""Many customers with little credit, several gateways, random kills: not a cent more is spent than was paid.

Owns: what is sold and how it is rated a second time (`market`, `rating`), the processes (`fleet`), the callers
(`load`), the kills (`kills`), what the database says (`books`), and the verdict (`judge`). Does not own: any rule of
Faregate; prices are rated here in integers of a billionth of a dollar, by other code than the product's. What is said
of single calls is judged by `bench.crash.judge`.

Invariants: the judge reads records only. A refusal is called wrong only where credit was there in the least favourable
reading of the records.
First file to read: `judge.py`.
"""

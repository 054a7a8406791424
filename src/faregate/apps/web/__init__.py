"""The pages for operators, at `/`: rendered on the server, signed in to with a cookie.

Owns: sessions' cookies, forms, templates, the files that the browser loads. Does not own: any rule of business; a page
calls the same services as `/api/v1`, so that everything it does can be done there.
Invariants: nothing is loaded from another host; no script or style stands in a page; every form names its session.
First file to read: `app.py`.
"""

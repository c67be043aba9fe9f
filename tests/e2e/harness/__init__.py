"""What the end-to-end tests stand on: a running index, the real tools, files to publish.

    distributions  wheels and sdists made here, byte for byte reproducible
    index          `wheelmark up` as a process, and the tree and database it leaves
    upload         the legacy upload form, spoken without any tool
    sandbox        pip, uv, twine and wheelmark in an environment of their own
    site           a small web server: a hostile index, or a static copy of a tree
    mirror         a mirror that lies, made of parts; hostile and wire hold the parts
    forge          a signed tree by the test's own keys, to sign what no index would
    history        an index with a past, for mirrors that replay
    person         one person with pip or uv, without wheelmark and with it
    service        `wheelmark proxy` as a process
    tls            an index behind TLS, with an authority of the test's own
    tuf_reader     python-tuf's client, unmodified
    foreign        servers that are not ours, as processes: where their programs lie
    devpi, pypiserver, nginx, bandersnatch   each of them
    documents      settings and commands as our documents show them
    publisher      somebody who publishes all the time
    registry       real projects from the package registry pip is configured with
"""

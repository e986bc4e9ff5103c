<?php
// Two cookies are two header fields, which must not be joined.
header('Set-Cookie: first=1; Path=/', false);
header('Set-Cookie: second=2; HttpOnly', false);
echo 'two cookies';

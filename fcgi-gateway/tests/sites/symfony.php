<?php
// The front controller of a project laid out like Symfony's, with what its Request looks at.
header('Content-Type: text/plain');
$path = rawurldecode(explode('?', $_SERVER['REQUEST_URI'])[0]);
$path = preg_replace('~^' . preg_quote($_SERVER['SCRIPT_NAME'], '~') . '(?=/|$)~', '', $path);
if (!preg_match('~^/(|hello/.*)$~', $path)) {
    http_response_code(404);
    echo "No route found for $path";
    return;
}
echo $path, ' in ', $_SERVER['APP_ENV'] ?? getenv('APP_ENV') ?: 'dev', ' by ', basename($_SERVER['SCRIPT_FILENAME']);

<?php
// public/index.php of a project laid out like Laravel's: it finds its route as Symfony's and Laravel's Request do, by
// what of REQUEST_URI follows the script or its folder.
$base = dirname(__DIR__);
$env = parse_ini_file("$base/.env");
$uri = $_SERVER['REQUEST_URI'];
$script = $_SERVER['SCRIPT_NAME'];
$folder = rtrim(dirname($script), '/');
if (str_starts_with($uri, $script)) {
    [$url, $path] = [$script, substr($uri, strlen($script))];
} else {
    [$url, $path] = [$folder, substr($uri, strlen($folder))];
}
$path = '/' . trim(rawurldecode(explode('?', $path)[0]), '/');
header('Content-Type: application/json');
if ($path === '/') {
    echo json_encode(['page' => 'home', 'app' => $env['APP_NAME']]);
} elseif (preg_match('~^/posts/([^/]+)$~', $path, $match)) {
    echo json_encode(['post' => $match[1], 'query' => $_GET, 'method' => $_SERVER['REQUEST_METHOD'], 'base' => $url]);
} elseif ($path === '/old') {
    header('Location: /posts/new', true, 301);
} else {
    http_response_code(404);
    echo json_encode(['message' => "The route $path could not be found."]);
}

<?php
// Greets whom the query or the form names, else the world.
echo 'Hello ', $_POST['who'] ?? $_GET['who'] ?? 'World';
